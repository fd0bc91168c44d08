"""Lookups of Ansible."""
