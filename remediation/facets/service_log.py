"""The log of an Ollama that runs natively: systemd's journal, or the file of the Windows app."""

from __future__ import annotations

import ntpath

from remediation.connections.base import Completed, Failed, Probe, ReadFile, Run
from remediation.facets.look import Look
from remediation.model.errors import CallFailed

_LINE = 250
"""Bytes that a line of the log takes at most on average; the end of the file is read by size."""
_SESSION = Probe("session", timeout=30.0)


class ServiceLog:
    """Where a native server's log lies."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def read(self, *, tail: int) -> str:
        """Return the log's last `tail` lines."""
        return self._windows(tail) if self._look.platform == "windows" else self._journal(tail)

    def _journal(self, tail: int) -> str:
        call = Run(("journalctl", "--unit", "ollama", "--no-pager", "--output", "cat", "--lines", str(tail)), timeout=60.0)
        reply = self._look.ask(call)[0]
        if isinstance(reply, Failed) and reply.kind == "not-found":
            raise CallFailed("Ollama runs in no container here and there is no systemd journal", host=self._look.host)
        done = self._look.ended(reply, "reading Ollama's journal")
        if not done.text.strip() and isinstance(reply, Completed):
            raise CallFailed(
                "the journal holds nothing of the unit ollama",
                host=self._look.host,
                next_step="only members of the groups adm and systemd-journal may read it; or Ollama was not started by systemd",
            )
        return done.text

    def _windows(self, tail: int) -> str:
        session = self._look.probe(_SESSION, "asking for the session")
        user = str(session.get("DesktopUser") or session["User"])
        profile = ntpath.join("C:\\Users", user.rpartition("\\")[2])
        path = ntpath.join(profile, "AppData", "Local", "Ollama", "server.log")
        content = self._look.content(ReadFile(path, limit=tail * _LINE, tail=True))
        if content is None:
            raise CallFailed(f"Ollama runs in no container here and {path} does not exist", host=self._look.host)
        lines = content.decode("utf-8", errors="replace").splitlines()
        return "".join(f"{line}\n" for line in lines[-tail:])
