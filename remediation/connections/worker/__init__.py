"""The PowerShell worker: its protocol, sessions and transports."""
