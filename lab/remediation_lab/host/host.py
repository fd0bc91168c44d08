"""One simulated host: a machine with the operations that a connection can carry out, by name."""

from __future__ import annotations

import base64
import inspect
import json
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from remediation_lab import programs
from remediation_lab.host.probes import PROBES
from remediation_lab.host.windows import Windows
from remediation_lab.wire import Json, OnChunk, Refusal
from remediation_lab.world.machine import Machine
from remediation_lab.world.state import State

READS = frozenset({"attach", "read", "poll", "state", "clock", "windows"})
"""Operations after which nothing has to go to disk."""


@dataclass(slots=True)
class Job:
    """A program that runs on without its caller, as soon as all of its stdin has come."""

    done: threading.Event = field(default_factory=threading.Event)
    result: programs.Done | None = None
    stdin: bytearray = field(default_factory=bytearray)
    run: Callable[[], None] = field(default=lambda: None)

    def feed(self, content: bytes, *, more: bool) -> None:
        """Take a slice of stdin."""
        self.stdin += content
        if not more:
            threading.Thread(target=self.run, daemon=True).start()


class Host(Machine):
    """A machine that a connection reaches."""

    def __init__(self, state: State, *, scale: float, saved: Callable[[State], None] = lambda _: None) -> None:
        super().__init__(state, scale=scale, saved=saved)
        self.windows = Windows(self)
        self._jobs: dict[str, Job] = {}

    def call(self, op: str, **fields: Json) -> Json:
        """Carry out one operation; raises Refusal."""
        handler = getattr(self, f"op_{op}", None)
        if handler is None:
            raise Refusal("error", f"unknown operation {op!r}")
        try:
            inspect.signature(handler).bind(**fields)
        except TypeError as error:
            raise Refusal("error", f"{op}: {error}") from error
        self.processes.happen()
        if self.clock.now() < self.state.down_until and op not in READS - {"attach"}:
            raise Refusal("rebooted", f"{self.state.name} is restarting")
        self._client_asks()
        try:
            return handler(**fields)
        finally:
            if op not in READS:
                self.save()

    def _client_asks(self) -> None:
        client = self.state.client
        if client is None or self.clock.now() < client.next:
            return
        client.next = self.clock.now() + client.every
        api = next((each for each in self.state.containers if each.environment.get("OLLAMA_MODEL")), None)
        if not client.model and (api is None or not api.running):
            return
        model = client.model or (api.environment["OLLAMA_MODEL"] if api is not None else "")
        body = {"model": model, "prompt": "Hello", "stream": False, "keep_alive": -1}
        options = {"num_predict": 4, **client.options}
        with suppress(Refusal):  # the server is down: the application tries again the next time
            self.network.request(
                method="POST",
                url="http://127.0.0.1:11434/api/generate",
                body=json.dumps({**body, "options": options}),
                timeout=300,
            )

    def op_attach(self) -> dict[str, Any]:
        """Tell a new shell on what kind of PowerShell it runs."""
        login = self.state.login
        return {"ps_version": login.ps_version, "language_mode": login.language_mode}

    def op_clock(self) -> float:
        """Return the machine's time."""
        return self.clock.now()

    def op_reboot(self) -> dict[str, Any]:
        """Restart the machine at once, as if its power had been cut."""
        self.desktop.restart_machine()
        return {"boots": self.state.boots}

    def op_state(self) -> dict[str, Any]:
        """Return the whole machine as JSON values, for tests and `status`."""
        with self.lock:
            self.serving.keep()
            self.state.now = self.clock.now()
            return self.state.to_json()

    def op_probe(
        self, name: str, data: dict[str, Any] | None = None, timeout: float = 30.0, on_chunk: OnChunk | None = None
    ) -> Json:
        """Run a probe by name; `on_chunk` gets the body of an HTTP answer as it comes, in base64."""
        probe = PROBES.get(name)
        if probe is None:
            raise Refusal("error", f"no probe {name!r} is known here: {', '.join(sorted(PROBES))}")
        return probe(self, {"timeout": timeout, **(data or {}), "on_chunk": on_chunk})

    def op_windows(self, what: str, **fields: Json) -> Json:
        """Answer a command of Windows itself, for a real PowerShell."""
        return self.windows.ask(what, fields)

    def op_windows_change(self, what: str, **fields: Json) -> Json:
        """Carry out a command of Windows itself that changes the machine."""
        return self.windows.change(what, fields)

    def op_run(
        self, argv: list[str], stdin: str = "", timeout: float = 30.0, cwd: str | None = None, env: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Run a program to its end."""
        done = self._run(argv, base64.b64decode(stdin), timeout, cwd, env)
        return {"rc": done.rc & 0xFFFFFFFF, "stdout": _b64(done.stdout), "stderr": _b64(done.stderr)}

    def op_start(  # the call's fields, always given by name
        self,
        argv: list[str],
        stdin: str = "",
        timeout: float = 86400.0,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        wait: float = 0.0,
        more: bool = False,
        last: bool = False,
    ) -> dict[str, Any]:
        """Start a program, and wait for its end for so long; with `more`, it runs once all of its stdin has come."""
        programs.find(argv)
        name, job = uuid.uuid4().hex, Job()
        self._jobs[name] = job

        def run() -> None:
            try:
                job.result = self._run(argv, bytes(job.stdin), timeout, cwd, env)
            except Refusal as refusal:
                job.result = programs.Done(1, b"", refusal.message.encode())
            job.done.set()
            self.save()

        job.run = run
        job.feed(base64.b64decode(stdin), more=more)
        return self._progress(name, wait, last=last)

    def op_poll(
        self, job: str, wait: float = 0.0, last: bool = False, stdin: str | None = None, more: bool = False
    ) -> dict[str, Any]:
        """Return the output of a started program since the last request. Its job ends with it, or with the last request."""
        known = self._jobs.get(job)
        if known is None:
            raise Refusal("not-found", f"no job {job}")
        if stdin is None:
            return self._progress(job, wait, last=last)
        known.feed(base64.b64decode(stdin), more=more)
        return {**self._progress(job, 0.0 if more else wait, last=last), "fed": True}

    def _progress(self, name: str, wait: float, *, last: bool) -> dict[str, Any]:
        job = self._jobs[name]
        until = self.clock.now() + wait
        while not job.done.wait(0.01) and self.clock.now() < until:
            self.clock.sleep(0.1)
        result = job.result if job.done.is_set() else None
        if result is not None or last:
            self._jobs.pop(name, None)  # it may have been stopped meanwhile
        if result is None:
            return {"job": name, "done": False, "rc": None, "stdout": "", "stderr": ""}
        return {
            "job": name, "done": True, "rc": result.rc & 0xFFFFFFFF, "stdout": _b64(result.stdout), "stderr": _b64(result.stderr),
        }  # fmt: skip

    def op_stop(self, job: str) -> dict[str, Any]:
        """Forget a started program; what it has done stays done."""
        if self._jobs.pop(job, None) is None:
            raise Refusal("not-found", f"no job {job}")
        return {}

    def op_read(self, path: str, offset: int = 0, limit: int = 4_000_000, tail: bool = False) -> dict[str, Any]:
        """Read a file."""
        return self.files.read(path, offset=offset, limit=limit, tail=tail)

    def op_write(  # the call's fields, always given by name
        self, path: str, offset: int, content: str, last: bool, sha256: str = "", backup: str | None = None
    ) -> dict[str, Any]:
        """Write a slice of a file."""
        return self.files.write(path, offset=offset, content=base64.b64decode(content), last=last, sha256=sha256, backup=backup)

    def _run(self, argv: list[str], stdin: bytes, timeout: float, cwd: str | None, env: dict[str, str] | None) -> programs.Done:
        program = programs.find(argv)
        call = programs.Call(tuple(argv), stdin, cwd or "C:\\Users\\ops", dict(env or {}), self.clock.now() + timeout)
        done = program(self, call)
        if self.clock.now() > call.deadline:
            raise Refusal("timeout", f"{argv[0]} did not end within {timeout:g} s and was stopped")
        return done


def _b64(content: bytes) -> str:
    return base64.b64encode(content).decode()
