"""SSH: programs, files and HTTP over one verified connection."""
