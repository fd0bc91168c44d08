"""POSIX hosts: this machine, and the quoting, sudo and files that SSH shares with it."""
