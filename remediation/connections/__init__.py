"""Connections to hosts (``local``, ``ssh``, ``winrm``, ``replay``), all with the contract of `remediation.connections.calls`."""
