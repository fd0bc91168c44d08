"""Filters of Ansible."""
