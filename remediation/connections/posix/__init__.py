"""POSIX hosts: this machine, and quoting, sudo and file access shared with SSH."""
