"""The log of a native Ollama server: systemd's journal, the file of the Windows app, or the one that its starter writes."""

from __future__ import annotations

import ntpath
import re
from collections.abc import Sequence

from remediation.connections.calls import Completed, Failed, ReadFile, Run
from remediation.facets.checked import checked
from remediation.facets.machine.processes import WindowsProcesses
from remediation.facets.machine.session import SESSION_PROBE
from remediation.facets.machine.wsl import ask_wsl, in_distribution
from remediation.facets.services.in_wsl import read_in_wsl
from remediation.facets.services.serving import addressed_port, from_processes, read_serving
from remediation.facets.services.windows import with_settings_of
from remediation.facets.snapshot import Snapshot, attempt
from remediation.model.errors import CallFailed
from remediation.model.facts import Elsewhere, Manager, Process, ServerProcess, Serving

LINES = 4000
"""Lines at the end that a diagnosis reads."""
PROGRAMS = frozenset({"ollama.exe", "ollama app.exe"})
_LINE = 250
"""Average length of a log line in bytes, rounded up. The end of the file is read by size."""
_LISTENING = re.compile(r"\bListening on (\S*?):(\d{1,5})(?= \(version|\"|\s|$)")
_INSTALLED = re.compile(r"(?i)^(.+\\AppData\\Local)\\Programs\\Ollama\\[^\\]+$")
"""Default installation path. It contains the %LOCALAPPDATA% of the server's user, where the log is too."""


def last_listening(log: str) -> tuple[str, str] | None:
    """Return the host and port at which the last server in a log listens."""
    found = _LISTENING.findall(log)
    return found[-1] if found else None


def fatal_error(log: str) -> tuple[int, str] | None:
    """Return the last line of a log, with its number, if it is the error with which ``ollama serve`` ended (``Error: …``)."""
    lines = log.rstrip().splitlines()
    return (len(lines), lines[-1].strip()) if lines and lines[-1].startswith("Error: ") else None


def _has_outlived_app(server: ServerProcess, running: Sequence[Process]) -> bool:
    """Whether a server in the app's folder has no parent any more: the app that started it has ended, and its log goes on."""
    parents = {each.pid: each.parent for each in running}
    return _INSTALLED.match(server.path) is not None and parents.get(server.pid) not in parents


@checked("service_log")
class ServiceLog:
    """Reads the log of the native server that is addressed; with `anywhere` that of the one which is found."""

    def __init__(self, snapshot: Snapshot, *, anywhere: bool = False) -> None:
        self._snapshot = snapshot
        self._port = None if anywhere else addressed_port(str(snapshot.hints.get("endpoint") or ""))
        self._anywhere = anywhere

    def call(self, tail: int) -> Run | ReadFile:
        """Return the call that reads the end of the log; what serves Ollama is read first if it is unknown.

        Raises `CallFailed` if the server's output goes to no file.
        """
        if self._snapshot.platform == "windows":
            guest = self._in_wsl()
            if guest is not None:
                return self._journal_in(guest, tail)
            return ReadFile(self._redirect_file() or self._path(), limit=tail * _LINE, tail=True)
        serving = read_serving(self._snapshot, anywhere=self._anywhere)
        if serving.elsewhere is not None:
            raise self._of_another(serving.elsewhere)
        if serving.manager is Manager.PROCESS and serving.process is not None:
            if not serving.process.log:  # the journal has at most the log of a server that ran before
                raise CallFailed(
                    f"the output of the server (process {serving.process.pid}, started by {serving.process.user}) goes to no file",
                    host=self._snapshot.host,
                    next_step=serving.how_to_log,
                )
            return ReadFile(serving.process.log, limit=tail * _LINE, tail=True)
        unit = serving.name.removesuffix(".service") or "ollama"
        which = "--user-unit" if serving.unit is not None and serving.unit.own else "--unit"
        return Run(("journalctl", which, unit, "--no-pager", "--output", "cat", "--lines", str(tail)), timeout=60.0)

    def _redirect_file(self) -> str:
        """Return the file to which a service, a task or a shell sends the server's output; "" for the app, which has its own log."""
        running = attempt(WindowsProcesses(self._snapshot).list) or ()
        started = from_processes(running)
        if started.process is None or started.manager is Manager.WINDOWS_APP or _has_outlived_app(started.process, running):
            return ""
        serving = attempt(lambda: with_settings_of(self._snapshot, started))
        if serving is None or serving.process is None:
            return ""
        if not serving.process.log:
            raise CallFailed(
                f"the output of {serving.words} goes to no file",
                host=self._snapshot.host,
                next_step=serving.how_to_log,
            )
        return serving.process.log

    def _in_wsl(self) -> Serving | None:
        """Return the server in a distribution of WSL, if no program of Ollama runs in Windows."""
        running = attempt(WindowsProcesses(self._snapshot).list)
        if running is None or any(each.name.lower() in PROGRAMS for each in running):
            return None
        return attempt(lambda: read_in_wsl(self._snapshot))

    def _journal_in(self, serving: Serving, tail: int) -> Run:
        if serving.guest is None or serving.guest.unit is None:
            state = "is stopped" if serving.guest is not None and not serving.guest.running else "has no unit of systemd"
            raise CallFailed(
                f"{serving.words} has no log: the distribution {state}", host=self._snapshot.host,
                next_step=f"start it with its output in the journal: wsl -d {serving.name} -u root -- systemctl start ollama",
            )  # fmt: skip
        words = ("journalctl", "--unit", serving.guest_unit, "--no-pager", "--output", "cat", "--lines", str(tail))
        return in_distribution(serving.name, *words, timeout=60.0)

    def read(self, *, tail: int) -> str:
        """Return the last `tail` lines of the log."""
        call = self.call(tail)
        log = self._file(call, tail) if isinstance(call, ReadFile) else self._journal(call)
        listening = last_listening(log)
        port = int(listening[1]) if listening is not None else None
        if port is not None and self._port is not None and port != self._port:
            raise self._of_another(Elsewhere(self._port, port, "the server that writes the log which was found"))
        return log

    def _of_another(self, other: Elsewhere) -> CallFailed:
        return CallFailed(str(other), host=self._snapshot.host, next_step=other.next_step)

    def _journal(self, call: Run) -> str:
        reply = ask_wsl(self._snapshot, call)[0] if self._snapshot.platform == "windows" else self._snapshot.fetch(call)[0]
        if isinstance(reply, Failed) and reply.kind == "not-found":
            raise CallFailed("Ollama does not run in a container here, and there is no systemd journal", host=self._snapshot.host)
        done = self._snapshot.completed(reply, "reading Ollama's journal")
        if not done.text.strip() and isinstance(reply, Completed):
            raise CallFailed(
                f"the journal has no entries of the unit {call.argv[call.argv.index('--no-pager') - 1]}",
                host=self._snapshot.host,
                next_step="only members of the groups adm and systemd-journal may read it; or Ollama was not started by systemd",
            )
        return done.text

    def _file(self, call: ReadFile, tail: int) -> str:
        content = self._snapshot.content(call)
        if content is None:
            raise CallFailed(
                f"Ollama's log {call.path} does not exist",
                host=self._snapshot.host,
                next_step="if Ollama runs in a container, log in with an account that may use Docker",
            )
        lines = content.decode("utf-8", errors="replace").splitlines()
        return "".join(f"{line}\n" for line in lines[-tail:])

    def _path(self) -> str:
        """Return the path of the log: in the profile of the running program's user, else of the desktop user."""
        for each in attempt(WindowsProcesses(self._snapshot).list) or ():
            match = _INSTALLED.match(each.path or "") if each.name.lower() in PROGRAMS else None
            if match:
                return ntpath.join(match[1], "Ollama", "server.log")
        session = self._snapshot.probe(SESSION_PROBE, "querying the session")
        user = str(session.get("DesktopUser") or session["User"])
        return ntpath.join("C:\\Users", user.rpartition("\\")[2], "AppData", "Local", "Ollama", "server.log")
