"""How calls reach a host: ``local``, ``ssh``, ``winrm``, ``replay``; one contract (`remediation.connections.calls`)."""

from remediation.former_names import install

install()
