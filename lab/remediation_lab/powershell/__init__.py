"""The stand-in for powershell.exe: the worker protocol and the probes by name; it never reads PowerShell text."""
