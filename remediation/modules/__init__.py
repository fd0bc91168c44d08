"""Ansible's modules as actions. The engine loads one when a playbook names it; `contract` says what a module is."""
