"""The process that owns the machines of one lab."""
