"""How calls reach a host: ``local``, ``ssh``, ``winrm``, ``replay``; one contract (`remediation.connections.calls`)."""

from remediation.former_names import find_former_names

find_former_names()
