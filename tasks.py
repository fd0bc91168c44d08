"""The same tasks for plain ``invoke`` as for the installed ``remediate``."""

from remediation.cli.main import namespace
from remediation.cli.plugins import add_commands

add_commands(namespace)

__all__ = ["namespace"]
