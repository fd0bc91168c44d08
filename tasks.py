"""The same tasks for plain ``invoke`` as for the installed ``remediate``."""

from remediation.cli.main import namespace

__all__ = ["namespace"]
