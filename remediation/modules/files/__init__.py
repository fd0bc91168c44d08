"""Modules that copy files to a host, edit them, and read their state."""
