"""Facts of a host under Ansible's names, from one exchange."""
