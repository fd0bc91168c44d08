"""The Ollama server of the target, by HTTP from the host itself (facts/ollama 3)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from remediation.connections.base import Http
from remediation.facets.look import Look
from remediation.facets.service_log import ServiceLog
from remediation.model.clock import Clock
from remediation.model.errors import CallFailed, DeadlineExceeded
from remediation.model.facts import Found, Generation, ModelEntry, ModelShow, Runner, Target

_OK = 200
_NOT_FOUND = 404
_PARAMETER = re.compile(r"^(\S+)\s+(.*?)\s*$")
START = "start Ollama, or say where it is: endpoint: http://127.0.0.1:11434"
_PAUSE = 0.5


class Asker(Protocol):
    """Asks a model while the loads of GPU and CPU are sampled."""

    def ask(self, url: str, body: Mapping[str, Any], *, timeout: float, sample: bool) -> Generation:
        """Return the figures of one streamed request."""


class EngineLogs(Protocol):
    """What is needed of the engine's facet."""

    def logs(self, name: str, *, tail: int = 4000) -> str:
        """Return the end of a container's log."""


class NoLogs:
    """An engine of whose containers nothing is asked."""

    def logs(self, name: str, *, tail: int = 4000) -> str:
        """Refuse."""
        raise CallFailed(f"the last {tail} lines of {name} are not known here")


def at(endpoint: str) -> Target:
    """Return a target of which only the endpoint is known."""
    return Target(endpoint=Found(endpoint, "given"))


def version_call(endpoint: str) -> Http:
    """Return the request for the server's version."""
    return Http("GET", f"{endpoint}/api/version", timeout=15.0)


def running_call(endpoint: str) -> Http:
    """Return the request for what is loaded."""
    return Http("GET", f"{endpoint}/api/ps", timeout=15.0)


def models_call(endpoint: str) -> Http:
    """Return the request for what is stored."""
    return Http("GET", f"{endpoint}/api/tags", timeout=30.0)


def show_call(endpoint: str, model: str) -> Http:
    """Return the request for a model's metadata; servers up to v0.1.39 read ``name``."""
    return Http("POST", f"{endpoint}/api/show", {"model": model, "name": model}, timeout=30.0)


class OllamaByHttp:
    """The server at the target's endpoint."""

    def __init__(self, look: Look, target: Callable[[], Target], engine: EngineLogs) -> None:
        self._look, self._target, self._engine = look, target, engine

    @property
    def endpoint(self) -> str:
        """The target's URL; raises `CallFailed` where there is none."""
        found = self._target().endpoint
        if found is None:
            raise CallFailed("no Ollama was found on this host", host=self._look.host, next_step=START)
        return str(found.value)

    def version(self) -> str:
        """Return its version."""
        return str(self._get(version_call(self.endpoint))["version"])

    def running(self) -> Sequence[Runner]:
        """Return what is loaded."""
        return runners(self._get(running_call(self.endpoint)))

    def models(self) -> Sequence[ModelEntry]:
        """Return what is stored."""
        return entries(self._get(models_call(self.endpoint)))

    def show(self, model: str) -> ModelShow | None:
        """Return a model's metadata, None when the server does not know it."""
        call = show_call(self.endpoint, model)
        reply = self._look.http(call, _what(call), next_step=START)
        if reply.status == _NOT_FOUND:
            return None
        return shown(model, self._json(call, reply.status, reply.body))

    def log(self, *, tail: int = 4000) -> str:
        """Return the end of the server's log, from the container or the service."""
        container = self._target().container
        if container is not None:
            return self._engine.logs(str(container.value), tail=tail)
        return ServiceLog(self._look).read(tail=tail)

    def _get(self, call: Http) -> Any:  # noqa: ANN401 - JSON
        reply = self._look.http(call, _what(call), next_step=START)
        return self._json(call, reply.status, reply.body)

    def _json(self, call: Http, status: int, body: bytes) -> Any:  # noqa: ANN401 - JSON
        try:
            value = json.loads(body) if body else {}
        except ValueError:
            value = None
        said = value.get("error") if isinstance(value, dict) else None
        if status != _OK or said:
            words = str(said or body[:200].decode("utf-8", errors="replace").strip() or f"HTTP {status}")
            raise CallFailed(f"Ollama refused {call.url}: {words}", host=self._look.host, status=status, output=words)
        if not isinstance(value, dict):
            raise CallFailed(
                f"what answers at {call.url} is no Ollama: its answer is no JSON",
                host=self._look.host,
                next_step=START,
                status=status,
            )
        return value


class OllamaWriterByHttp(OllamaByHttp):
    """And loading and asking models."""

    def __init__(self, look: Look, target: Callable[[], Target], engine: EngineLogs, clock: Clock, asker: Asker) -> None:
        super().__init__(look, target, engine)
        self._clock, self._asker = clock, asker

    def load(self, model: str, *, options: Mapping[str, Any], keep_alive: str = "10m", timeout: float = 330.0) -> None:
        """Preload a model; returns when it is loaded."""
        body = {"model": model, "stream": False, "keep_alive": _seconds(keep_alive), "options": dict(options)}
        self._post("generate", body, timeout)

    def unload(self, model: str, *, timeout: float = 60.0) -> None:
        """Unload a model and wait until it is gone; the server answers before that."""
        until = self._clock.monotonic() + timeout
        self._post("generate", {"model": model, "stream": False, "keep_alive": 0}, timeout)
        while any(same(runner.model, model) for runner in self._now()):
            if self._clock.monotonic() >= until:
                raise DeadlineExceeded(
                    f"{model} was told to unload and is still loaded after {timeout:.0f} s",
                    host=self._look.host,
                    next_step="a request may keep it busy; wait for it to end, or restart the server",
                )
            self._clock.sleep(_PAUSE)

    def generate(self, model: str, prompt: str, *, options: Mapping[str, Any], timeout: float, sample: bool = True) -> Generation:
        """Ask for tokens and return the figures."""
        body = {"model": model, "prompt": prompt, "stream": True, "options": dict(options)}
        url = f"{self.endpoint}/api/generate"
        self._look.forget()
        return self._asker.ask(url, body, timeout=timeout, sample=sample)

    def _now(self) -> Sequence[Runner]:
        """Return what is loaded at this moment, whatever the look knows."""
        self._look.forget()
        return self.running()

    def _post(self, path: str, body: Mapping[str, Any], timeout: float) -> Any:  # noqa: ANN401 - JSON
        call = Http("POST", f"{self.endpoint}/api/{path}", dict(body), timeout=timeout, writes=True)
        reply = self._look.http(call, _what(call), next_step=START)
        return self._json(call, reply.status, reply.body)


def runners(value: Mapping[str, Any]) -> tuple[Runner, ...]:
    """Return what ``/api/ps`` lists."""
    return tuple(
        Runner(
            model=str(each.get("model") or each["name"]),
            size=int(each.get("size") or 0),
            size_vram=int(each.get("size_vram") or 0),
            context_length=each.get("context_length"),
            digest=str(each.get("digest", "")),
            expires_at=str(each.get("expires_at", "")),
        )
        for each in value.get("models") or ()
    )


def entries(value: Mapping[str, Any]) -> tuple[ModelEntry, ...]:
    """Return what ``/api/tags`` lists."""
    return tuple(
        ModelEntry(str(each["name"]), int(each.get("size") or 0), str(each.get("digest", "")), dict(each.get("details") or {}))
        for each in value.get("models") or ()
    )


def shown(model: str, value: Mapping[str, Any]) -> ModelShow:
    """Return what ``/api/show`` says."""
    return ModelShow(
        model=model,
        parameters=parameters(str(value.get("parameters") or "")),
        info=dict(value.get("model_info") or {}),
        details=dict(value.get("details") or {}),
        modelfile=str(value.get("modelfile") or ""),
    )


def parameters(text: str) -> dict[str, str]:
    """Return the parameters' text as a mapping; of one that is given several times (``stop``) the last."""
    found = {}
    for line in text.splitlines():
        if match := _PARAMETER.match(line.strip()):
            found[match[1]] = match[2]
    return found


def same(loaded: str, wanted: str) -> bool:
    """Return whether both names mean the same model; a missing tag is ``latest``."""
    return loaded in {wanted, f"{wanted}:latest"} or f"{loaded}:latest" == wanted


def _what(call: Http) -> str:
    return f"asking Ollama at {call.url}"


def _seconds(keep_alive: str) -> str | int:
    """Return a bare number as a number: Ollama reads a text only with its unit."""
    return int(keep_alive) if re.fullmatch(r"-?\d+", keep_alive) else keep_alive
