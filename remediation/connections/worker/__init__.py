"""The PowerShell worker: its protocol, its session, and what carries it."""
