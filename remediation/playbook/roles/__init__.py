"""Roles: found on a search path, and read into tasks, handlers and variables."""
