"""The PowerShell worker: its protocol, its session, and what carries it."""

from remediation.connections.worker.connection import WorkerConnection

__all__ = ["WorkerConnection"]
