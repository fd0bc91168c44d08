"""Describes how to restart an Ollama server manually."""

from __future__ import annotations


def restart_advice(container: str, *, windows: bool, unit: str = "ollama") -> str:
    """Return the next step that restarts the server, in its container if it has one."""
    if container:
        return f"restart the server: docker restart {container}"
    if windows:
        return "restart the server: quit Ollama from its tray icon (or end ollama.exe) and start it again"
    return f"restart the server: sudo systemctl restart {unit} (or end ollama serve and start it again)"
