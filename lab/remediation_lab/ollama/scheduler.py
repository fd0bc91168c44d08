"""Which runners are loaded: load, reuse, evict, expire (facts/ollama 1.4, 3; recordings, surprises 1, 6 and 7)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from remediation_lab.ollama import golang
from remediation_lab.ollama.answers import ApiError, NoAnswer
from remediation_lab.ollama.journal import line
from remediation_lab.ollama.loader import Loader, Runner
from remediation_lab.ollama.loadrule import Ending
from remediation_lab.ollama.models import Model
from remediation_lab.ollama.options import Options

LEAVE_SECONDS = 0.25
"""Seconds that a runner takes to exit: an unload is asynchronous (facts/ollama 3)."""
_RUNNERS_PER_GPU = 3


class Scheduler:
    """The runners of one server on one card."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._release = loader.release
        self._settings = loader.settings
        self._clock = loader.clock
        self._journal = loader.journal
        self._processes = loader.run.processes
        self._turn = threading.Condition(threading.RLock())
        self._waiting = 0
        self.hung = False
        self.runners: dict[str, Runner] = {}

    def tick(self) -> None:
        """Let go of runners whose time is over; their memory is free from then on."""
        with self._turn:
            now = self._clock.now()
            for name, runner in tuple(self.runners.items()):
                if runner.busy:
                    continue
                if runner.leaving is None and runner.expires <= now:
                    runner.leaving = runner.expires + LEAVE_SECONDS
                if runner.leaving is not None and runner.leaving <= now:
                    self._drop(name)

    def listed(self) -> list[Runner]:
        """Return the loaded runners, the last used first; one that is leaving is listed until its memory is free."""
        self.tick()
        with self._turn:
            return sorted(self.runners.values(), key=lambda each: -each.used)

    def leave(self, name: str) -> None:
        """Tell a runner to go once its requests are done."""
        with self._turn:
            runner = self.runners.get(name)
            if runner is not None:
                runner.keep_alive, runner.expires = 0, self._clock.now()
                if not runner.busy:
                    runner.leaving = self._clock.now() + LEAVE_SECONDS

    def dies(self, runner: Runner) -> bool:
        """Return whether a loaded runner ends at its first token: the system memory is short, or its process was killed."""
        return self._loader.starves() or self._processes.killed(runner.name)

    def kill(self, runner: Runner) -> None:
        """Let a runner's process die; it stays listed, and what it held on the card is free."""
        with self._turn:
            runner.dead = True
            self._processes.end(runner.name)
            self._loader.release_memory(runner.name)

    def close(self) -> None:
        """Release what every runner holds, as when the server stops."""
        with self._turn:
            for name in tuple(self.runners):
                self._drop(name)

    @contextmanager
    def use(self, model: Model, options: Options, keep_alive: int | None) -> Iterator[Runner]:
        """Give a loaded runner for one request; ApiError when it cannot be loaded, NoAnswer when the scheduler hangs."""
        runner = self._acquire(model, options, keep_alive)
        try:
            yield runner
        finally:
            with self._turn:
                now = self._clock.now()
                runner.busy -= 1
                runner.used = now
                runner.expires = now + runner.keep_alive / golang.SECOND
                self._turn.notify_all()

    def _acquire(self, model: Model, options: Options, keep_alive: int | None) -> Runner:
        with self._turn:
            if self.hung and not self._fits(self.runners.get(model.name), options):
                raise NoAnswer
            if self._waiting > self._settings.max_queue:
                raise ApiError(503, "server busy, please try again.  maximum pending requests exceeded")
            self._waiting += 1
            try:
                runner = self._ready(model, options)
            finally:
                self._waiting -= 1
            runner.busy += 1
            if keep_alive is not None:  # a request that names none leaves the runner its own (server/sched.go, useLoadedRunner)
                runner.keep_alive = keep_alive
            return runner

    def _ready(self, model: Model, options: Options) -> Runner:
        self.tick()
        runner = self.runners.get(model.name)
        if runner is not None and runner.dead:
            self._journal.write(
                line(
                    self._release.at("dead"),
                    f"{self._release.process} process no longer running",
                    "WARN",
                    sys=9,
                    string="signal: killed",
                )
            )
        if runner is not None and (runner.leaving is not None or not self._fits(runner, options)):
            self._send_away(runner)
            runner = None
        if runner is not None:
            return runner
        limit = self._settings.max_loaded or _RUNNERS_PER_GPU
        while len(self.runners) >= limit:
            self._journal.write(
                line("sched.go:160", "max runners achieved, unloading one to make room", "DEBUG", runner_count=len(self.runners))
            )
            self._send_away(self._oldest())
        return self._load(model, options)

    def _fits(self, runner: Runner | None, options: Options) -> bool:
        """Return whether a loaded runner serves these options: a negative num_gpu never reloads (facts/ollama 1.4)."""
        if runner is None or runner.dead:
            return False
        return runner.num_ctx == options.num_ctx and (options.num_gpu < 0 or runner.num_gpu == options.num_gpu)

    def _oldest(self) -> Runner:
        return min(self.runners.values(), key=lambda each: (each.busy > 0, each.keep_alive, each.used))

    def _send_away(self, runner: Runner) -> None:
        while runner.busy:  # a busy runner ends its request first
            self._turn.wait()
        if self.runners.get(runner.name) is runner:
            self._clock.sleep(LEAVE_SECONDS)
            self._drop(runner.name)

    def _drop(self, name: str) -> None:
        self._processes.end(name)
        self._loader.release_memory(name)
        del self.runners[name]  # the last, as in the real server: what /api/ps no longer lists holds no memory

    def _load(self, model: Model, options: Options) -> Runner:
        load = self._loader.prepare(model, options, alone=not self.runners)
        self._loader.announce(load, options, alone=not self.runners)
        while load.plan.ending is Ending.CROWDED:
            self._journal.write(self._release.evicting(load))
            self._send_away(self._oldest())
            load = self._loader.prepare(model, options, alone=not self.runners)
            self._loader.decide(load, alone=not self.runners)
        if load.plan.ending is Ending.HANGS:
            self._loader.hang()
            self.hung = True
            raise NoAnswer
        runner = self._loader.start(model, options, load, others=len(self.runners))
        self.runners[model.name] = runner
        self._processes.start(model.name)
        return runner

    def state(self) -> dict[str, Any]:
        """Return the runners as JSON values."""
        with self._turn:
            return {"hung": self.hung, "loads": self._loader.loads, "runners": [asdict(each) for each in self.runners.values()]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned; what the runners hold on the card is the machine's to remember."""
        with self._turn:
            self.hung, self._loader.loads = state["hung"], state["loads"]
            self.runners = {each["name"]: Runner(**{**each, "busy": 0}) for each in state["runners"]}
