"""The PowerShell worker: its protocol, sessions and transports."""

from remediation.connections.worker.connection import WorkerConnection

__all__ = ["WorkerConnection"]
