"""Restarts an Ollama systemd service, and describes how to restart an Ollama server manually."""

from __future__ import annotations

from remediation.connections.calls import Completed, Failed, Run
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import CallFailed

UNIT = "ollama"
_RESTART = Run(("systemctl", "restart", UNIT), timeout=60.0, writes=True)
_WHAT = "restarting the service ollama"
_RIGHTS = ("authentication required", "access denied", "not permitted", "permission denied")
"""Messages of systemd and polkit for a login without permission (systemd 219 to 257)."""
_BECOME = "run the task or its play as root: become: true"
_BY_HAND = f"systemd has no unit {UNIT} here: restart Ollama the way it was started"
_LOOK = f"systemctl status {UNIT}; journalctl -u {UNIT} -n 50"


def restart_unit(look: Snapshot) -> None:
    """Restart the unit. Raises `CallFailed` with systemctl's message and the next step."""
    reply = look.write(_RESTART)
    if isinstance(reply, Failed):
        look.refuse(reply, _WHAT, next_step=_BY_HAND if reply.kind == "not-found" else "")
    if not isinstance(reply, Completed):
        raise look.odd(_WHAT, reply)
    if reply.rc != 0:
        lines = reply.stderr.decode("utf-8", errors="replace").split("\n")
        said = next((line.strip() for line in lines if line.strip()), f"systemctl exited with {reply.rc}").rstrip(".")
        raise CallFailed(f"{_WHAT} failed: {said}", host=look.host, next_step=_cure(said), status=reply.rc, output=said)


def _cure(said: str) -> str:
    words = said.lower()
    if any(each in words for each in _RIGHTS):
        return _BECOME
    return _BY_HAND if f"{UNIT}.service not found" in words or "not been booted with systemd" in words else _LOOK


def restart_advice(container: str, *, windows: bool) -> str:
    """Return the next step that restarts the server, in its container if it has one."""
    if container:
        return f"restart the server: docker restart {container}"
    if windows:
        return "restart the server: quit Ollama from its tray icon (or end ollama.exe) and start it again"
    return "restart the server: sudo systemctl restart ollama (or end ollama serve and start it again)"
