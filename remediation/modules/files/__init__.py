"""Modules that put files on a host, edit them, and read what is there."""
