"""Readers of Ollama's log, one module per generation (facts/ollama 0, 2)."""

from __future__ import annotations

from remediation.diagnosis.readers.logs.condensing import condense, condense_file
from remediation.diagnosis.readers.logs.model import HANG_SECONDS, Device, Load, LogReading, Request, ServerStart
from remediation.diagnosis.readers.logs.reader import read_cached, read_log

__all__ = [
    "HANG_SECONDS",
    "Device",
    "Load",
    "LogReading",
    "Request",
    "ServerStart",
    "condense",
    "condense_file",
    "read_cached",
    "read_log",
]
