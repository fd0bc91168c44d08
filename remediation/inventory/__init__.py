"""Inventories: hosts, groups, variables and host patterns."""
