"""The Ollama stand-in: one server process with its environment, its GPU and its models, behind `handle`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import takewhile
from typing import Any

from remediation_lab.ollama import environment as env
from remediation_lab.ollama import golang, releases
from remediation_lab.ollama.answers import Answer, ApiError, of_json, of_lines, of_text, parse
from remediation_lab.ollama.catalogue import Catalogue, details
from remediation_lab.ollama.children import NO_PROCESSES, RunnerProcesses
from remediation_lab.ollama.damage import Damage
from remediation_lab.ollama.inference import Inference
from remediation_lab.ollama.journal import Journal, line
from remediation_lab.ollama.llamaserver import LlamaServerLoader
from remediation_lab.ollama.loader import Loader, Pace, Run, Runner
from remediation_lab.ollama.models import Model, ModelStore
from remediation_lab.ollama.releases.base import Card, Memory, Release
from remediation_lab.ollama.scheduler import Scheduler
from remediation_lab.ports import Device, LabClock, VideoMemory

_PANIC = (
    "panic: runtime error: slice bounds out of range [:18446744073709551615] with capacity 4096",
    "",
    "goroutine 25 [running]:",
    "github.com/ollama/ollama/fs/gguf.(*File).KeyValue(...)",
    "\tgithub.com/ollama/ollama/fs/gguf/gguf.go:293 +0x1bb",
)
_RECOVERED = (
    "",
    "",
    "\x1b[31m[Recovery] panic recovered:",
    "runtime error: slice bounds out of range [:18446744073709551615] with capacity 4096",
    "iter/iter.go:326 (0x5569d19934cc)",
    "github.com/ollama/ollama/fs/gguf/gguf.go:293 (0x5569d198fd7a)",
    "github.com/ollama/ollama/server/images.go:82 (0x5569d1a0b650)",
    "\x1b[0m",
)
"""What a panic inside a request leaves in the log (recordings, corrupt-header-flipped)."""
Handler = Callable[[bytes], Answer]


class OllamaServer:
    """One run of the server; `log(stream, line)` gets what it writes to stdout and stderr.

    `handle` answers one request and may be called from several threads. It raises NoAnswer for a request that the server
    played here never answers. Without `gpu_runner` the build for the card is missing: what was planned for it runs on the CPU.
    `program` is the path of a program of Windows that it is instead of the release's own on Linux.
    """

    def __init__(  # the ports of one server, each by name
        self, *, version: str, environment: Mapping[str, str], device: Device | None, memory: VideoMemory, clock: LabClock, models: ModelStore,
        log: Callable[[str, str], None], pace: Pace | None = None, ram: Memory | None = None, gpu_runner: bool = True,
        processes: RunnerProcesses = NO_PROCESSES, program: str = "",
    ) -> None:  # fmt: skip
        self._release = _installed(releases.find(version), program)
        self._settings = env.read(environment, extra=self._release.environment, without=self._release.dropped)
        self._clock = clock
        self._ram = ram or Memory()
        self._present = device is not None
        self._journal = Journal(log, clock, self._settings.debug)
        run = Run(self._release, self._settings, self._journal, clock, pace or Pace(), self._ram, gpu_runner, processes)
        kind = LlamaServerLoader if self._release.llama_server else Loader
        self._loader = kind(run, device if device and self._usable(device) else None, memory)
        self._scheduler = Scheduler(self._loader)
        self._catalogue = Catalogue(
            models,
            clock,
            golang.joined(self._settings.models, "blobs"),
            run.pace.network,
            capabilities=self._release.llama_server,
        )
        self._inference = Inference(run, self._catalogue, self._scheduler, self._default_context)
        self._routes = self._table()

    @property
    def settings(self) -> env.Settings:
        """The environment as the server read it."""
        return self._settings

    @property
    def runners(self) -> list[Runner]:
        """The loaded models, as /api/ps lists them."""
        return self._scheduler.listed()

    @property
    def models(self) -> ModelStore:
        """The models on its disk."""
        return self._catalogue.store

    @property
    def generating(self) -> bool:
        """Whether an answer is being made."""
        return self._inference.active > 0

    def start(self) -> bool:
        """Print what the server prints until it answers requests; False when it ends in a panic instead."""
        for each in self._settings.misread:
            place = "config.go:255" if each.kind == "uint64" else "config.go:232"
            text = f"invalid environment variable, using default key={each.key} value={each.text} default={each.default}"
            self._journal.early(place, f"WARN {text}")
        for each in self._settings.misread:
            place = "config.go:255" if each.kind == "uint64" else "config.go:232"
            text = "invalid environment variable, using default"
            self._journal.write(line(place, text, "WARN", key=each.key, value=each.text, default=each.default))
        host, port = self._settings.address
        shown = f"[::]:{port}" if host in {"0.0.0.0", "::"} else f"{host}:{port}"  # compared, nothing is bound
        for entry in self._release.start(self._settings, 3 * len(self._catalogue.store.all()), shown):
            self._journal.write(entry)
        discovery = list(self._release.discover(self._settings, self._loader.card(), self._ram, present=self._present))
        if self._release.panics_at_start and any(each.damage is Damage.BLOB_HEADER for each in self._catalogue.store.all()):
            for entry in takewhile(lambda each: each.message != "starting runner", discovery):
                self._journal.write(entry)
            for text in _PANIC:
                self._journal.write(text)
            return False
        for entry in discovery:
            self._journal.write(entry)
        return True

    def stop(self) -> None:
        """End the server: the runners go and their memory is free."""
        self._scheduler.close()

    def tick(self) -> None:
        """Let time have passed: runners whose keep_alive is over go, and release their memory."""
        self._scheduler.tick()

    def kill_runner(self, *, after_tokens: int | None = None) -> None:
        """Let the loaded runners' processes die: at once, or in the middle of the next answer."""
        if after_tokens is not None:
            self._inference.dies_after = after_tokens
            return
        for runner in self._scheduler.runners.values():
            self._scheduler.kill(runner)

    def handle(self, method: str, path: str, body: bytes, client: str = "127.0.0.1") -> Answer:
        """Answer one request; the access line is written when the body has been read to its end."""
        began = self._clock.now()
        route = path.partition("?")[0]
        try:
            answer = self._dispatch(method, route, body)
        except ApiError as error:
            for text in () if error.text else _RECOVERED:
                self._journal.write(text)
            answer = _failure(error, openai=route.startswith("/v1/"))
        chunks = () if method == "HEAD" else answer.chunks
        logged = self._logged(iter(chunks), answer.status, began, (method, route, client))
        next(logged)
        return replace(answer, chunks=logged)

    def state(self) -> dict[str, Any]:
        """Return everything that a later process needs to play on, as JSON values."""
        return {"scheduler": self._scheduler.state(), "models": self._catalogue.store.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned."""
        self._catalogue.store.restore(state["models"])
        self._scheduler.restore(state["scheduler"])

    def _default_context(self) -> int:
        return self._release.default_context(self._settings, self._loader.card())

    def _usable(self, device: Device) -> bool:
        """Return whether the GPU passes the filters of the environment (facts/ollama 1.2)."""
        shown = self._settings.raw.get("CUDA_VISIBLE_DEVICES")
        if shown is not None and not {part.strip() for part in shown.split(",")} & {"0", device.uuid}:
            return False
        if self._release.by_command:  # the variable chooses among runners there, and keeps no device out
            return True
        library = Card(device, 0, 0).library
        return not self._settings.library or self._settings.library == library

    def _dispatch(self, method: str, path: str, body: bytes) -> Answer:
        methods = self._routes.get(path)
        if methods is None:
            return of_text("404 page not found", 404, "text/plain")
        handler = methods.get("GET" if method == "HEAD" and "HEAD" not in methods else method)
        if handler is None:
            return of_text("405 method not allowed", 405, "text/plain")
        return handler(body)

    def _table(self) -> dict[str, dict[str, Handler]]:
        catalogue, inference = self._catalogue, self._inference
        return {
            "/": {"GET": lambda _: of_text("Ollama is running")},
            "/api/version": {"GET": lambda _: of_json({"version": self._release.version})},
            "/api/tags": {"GET": lambda _: of_json(catalogue.tags())},
            "/api/ps": {"GET": lambda _: of_json({"models": [self._listed(runner) for runner in self._scheduler.listed()]})},
            "/api/show": {"POST": lambda body: of_json(catalogue.show(parse(body)))},
            "/api/generate": {"POST": lambda body: inference.generate(parse(body))},
            "/api/chat": {"POST": lambda body: inference.chat(parse(body))},
            "/api/embed": {"POST": lambda body: inference.embed(parse(body), many=True)},
            "/api/embeddings": {"POST": lambda body: inference.embed(parse(body), many=False)},
            "/api/create": {"POST": lambda body: _progress(catalogue.create(parse(body)), parse(body))},
            "/api/pull": {"POST": lambda body: _progress(catalogue.pull(parse(body)), parse(body))},
            "/api/copy": {"POST": self._copy},
            "/api/delete": {"DELETE": self._delete},
            "/v1/models": {"GET": lambda _: of_json(self._openai_models(), kind="application/json")},
            "/v1/chat/completions": {"POST": lambda body: inference.openai(parse(body))},
        }

    def _listed(self, runner: Runner) -> dict[str, Any]:
        model = self._catalogue.store.get(runner.name)
        return {
            "name": runner.name,
            "model": runner.name,
            "size": runner.size,
            "digest": runner.digest,
            "details": details(model) if model else {},
            "expires_at": golang.timestamp(runner.expires),
            "size_vram": runner.vram,
            **self._context(runner, model),
        }

    def _context(self, runner: Runner, model: Model | None) -> dict[str, int]:
        if not self._release.lists_context:
            return {}
        most = model.file.context if model and self._release.caps_context else runner.num_ctx
        return {"context_length": min(runner.num_ctx, most)}

    def _copy(self, body: bytes) -> Answer:
        self._catalogue.copy(parse(body))
        return Answer(200, {"Content-Length": "0"})

    def _delete(self, body: bytes) -> Answer:
        self._catalogue.delete(parse(body))  # its runner stays until its time is over (server/routes.go, DeleteHandler)
        return Answer(200, {"Content-Length": "0"})

    def _openai_models(self) -> dict[str, Any]:
        models = self._catalogue.store.all()
        return {
            "object": "list",
            "data": [
                {"id": model.name, "object": "model", "created": int(model.modified), "owned_by": "library"} for model in models
            ],
        }

    def _logged(self, chunks: Iterator[bytes], status: int, began: float, about: tuple[str, str, str]) -> Iterator[bytes]:
        try:
            yield b""  # taken at once by handle: a generator that never started would log nothing
            yield from chunks
        finally:
            self._journal.access(status, max(1, int((self._clock.now() - began) * golang.SECOND)), *about)


def _installed(release: Release, program: str) -> Release:
    if not program:
        return release
    return replace(release, bin=program, lib=golang.joined(program.rpartition("\\")[0], "lib", "ollama"))


def _progress(lines: Iterator[dict[str, Any]], body: Mapping[str, Any]) -> Answer:
    if body.get("stream") is False:
        return of_json(list(lines)[-1], kind="application/json")
    return of_lines(_with_error(lines))


def _with_error(lines: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    try:
        yield from lines
    except ApiError as error:  # the status line is out already, so the error is a line under 200
        yield {"error": error.text}


def _failure(error: ApiError, *, openai: bool) -> Answer:
    if not error.text:  # a panic inside the server: recordings, surprise 9
        return of_text("", error.status)
    if openai:
        return of_json(
            {"error": {"message": error.text, "type": "api_error", "param": None, "code": None}}, error.status, "application/json"
        )
    return of_json({"error": error.text}, error.status)
