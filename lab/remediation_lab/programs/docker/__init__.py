"""The docker CLI with its compose plugin, on the machine's engine."""

from remediation_lab.programs.docker.cli import docker

__all__ = ["docker"]
