"""Readers of Ollama's log, one module per generation (facts/ollama 0, 2)."""

from __future__ import annotations

from remediation.diagnosis.logs.model import Device, Load, LogReading, ServerStart
from remediation.diagnosis.logs.reader import condense, read_log

__all__ = ["Device", "Load", "LogReading", "ServerStart", "condense", "read_log"]
