"""Connections to hosts (``local``, ``ssh``, ``winrm``, ``replay``), all with the contract of `remediation.connections.calls`."""

from remediation.former_names import find_former_names

find_former_names()
