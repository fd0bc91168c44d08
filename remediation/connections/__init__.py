"""How calls reach a host: ``local``, ``ssh``, ``winrm``, ``replay``; one contract (`remediation.connections.calls`)."""
