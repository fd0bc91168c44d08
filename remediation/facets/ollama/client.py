"""The Ollama server of the target, by HTTP from the host itself (facts/ollama 3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

from remediation.connections.calls import Completed, Http, HttpReply, Run
from remediation.facets.checked import checked
from remediation.facets.ollama import model_store, windows_store
from remediation.facets.ollama.model_store import ModelStore
from remediation.facets.ollama.service import restart_advice
from remediation.facets.ollama.service_log import ServiceLog
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import CallFailed, DeadlineExceeded
from remediation.model.facts import Blob, Container, Executed, Found, Manifest, ModelEntry, ModelShow, Runner, Target
from remediation.model.text.json_text import load_json
from remediation.model.text.timestamps import parse_timestamp

OK = 200
NOT_FOUND = 404
PATIENCE = 10.0
"""Seconds within which a server answers what it knows by heart: its version, what is loaded."""
FROM_DISK = 20.0
"""Seconds within which it answers what it reads from disk: what is stored, a model's metadata."""
BEHIND_A_PROXY = frozenset({502, 503, 504})
"""What a proxy says whose server does not answer."""
_WAITED = re.compile(r"was not answered within ([\d.]+) s")
START = "start Ollama, or say where it is: endpoint: http://127.0.0.1:11434"


class EngineLogs(Protocol):
    """What is needed of the engine's facet."""

    def inspect(self, name: str) -> Container | None:
        """Return one container, or None."""

    def exec(self, name: str, argv: Sequence[str], *, timeout: float = 60.0) -> Executed:
        """Run a program that only looks inside a container."""

    def logs(self, name: str, *, tail: int = 4000) -> str:
        """Return the end of a container's log."""


class NoLogs:
    """An engine of whose containers nothing is asked."""

    def inspect(self, name: str) -> Container | None:
        """Know none."""
        return None

    def exec(self, name: str, argv: Sequence[str], *, timeout: float = 60.0) -> Executed:
        """Refuse."""
        raise CallFailed(f"{argv[0]} is not run in {name} here, for {timeout:.0f} s or less")

    def logs(self, name: str, *, tail: int = 4000) -> str:
        """Refuse."""
        raise CallFailed(f"the last {tail} lines of {name} are not known here")


def at(endpoint: str) -> Target:
    """Return a target of which only the endpoint is known."""
    return Target(endpoint=Found(endpoint, "given"))


def version_call(endpoint: str) -> Http:
    """Return the request for the server's version."""
    return Http("GET", f"{endpoint}/api/version", timeout=PATIENCE)


def running_call(endpoint: str) -> Http:
    """Return the request for what is loaded."""
    return Http("GET", f"{endpoint}/api/ps", timeout=PATIENCE)


def models_call(endpoint: str) -> Http:
    """Return the request for what is stored."""
    return Http("GET", f"{endpoint}/api/tags", timeout=FROM_DISK)


def show_call(endpoint: str, model: str) -> Http:
    """Return the request for a model's metadata; servers up to v0.1.39 read ``name``."""
    return Http("POST", f"{endpoint}/api/show", {"model": model, "name": model}, timeout=FROM_DISK)


@checked("ollama")
class OllamaByHttp:
    """The server at the target's endpoint. `registry` is asked instead of a model's own; `seen` keeps what was loaded."""

    def __init__(
        self, look: Snapshot, target: Callable[[], Target], engine: EngineLogs, registry: str | None = None, seen: dict[str, Runner] | None = None
    ) -> None:  # fmt: skip
        self._snapshot, self._target, self._engine, self._registry = look, target, engine, registry
        self._seen = {} if seen is None else seen

    @property
    def endpoint(self) -> str:
        """The target's URL; raises `CallFailed` where there is none."""
        found = self._target().endpoint
        if found is None:
            raise CallFailed("no Ollama was found on this host", host=self._snapshot.host, next_step=START)
        return str(found.value)

    def version(self) -> str:
        """Return its version."""
        return str(self._get(version_call(self.endpoint))["version"])

    def running(self) -> Sequence[Runner]:
        """Return what is loaded."""
        found = runners(self._get(running_call(self.endpoint)))
        self._seen.update({runner.model: runner for runner in found if not self._leaves(runner)})
        return found

    def _leaves(self, runner: Runner) -> bool:
        """Whether a runner was told to go since it was last seen: it is listed until its process has ended, and expires now."""
        earlier = self._seen.get(runner.model)
        before, now = (parse_timestamp(each.expires_at) if each is not None else None for each in (earlier, runner))
        return before is not None and now is not None and now < before

    def last_runner(self, model: str) -> Runner | None:
        """Return a model's runner as it was last seen in this run."""
        return next((runner for name, runner in self._seen.items() if same_name(name, model)), None)

    def models(self) -> Sequence[ModelEntry]:
        """Return what is stored."""
        return json_entries(self._get(models_call(self.endpoint)))

    def show(self, model: str) -> ModelShow | None:
        """Return a model's metadata, None when the server does not know it."""
        call = show_call(self.endpoint, model)
        reply = self._answer(call)
        if reply.status == NOT_FOUND:
            return None
        return shown_model(model, self._json(call, reply.status, reply.body))

    def log(self, *, tail: int = 4000) -> str:
        """Return the end of the server's log, from the container or the service."""
        container = self._target().container
        if container is not None:
            return self._engine.logs(str(container.value), tail=tail)
        return ServiceLog(self._snapshot).read(tail=tail)

    def blobs(self, model: str, *, verify: bool = False, timeout: float = 900.0) -> Sequence[Blob] | None:
        """Return the layers of a stored model by its manifest on disk, None when there is no manifest."""
        return self._store().blobs(model, verify=verify, timeout=timeout)

    def aside(self) -> Sequence[str]:
        """Return the digests of blobs that were set aside."""
        return self._store().aside()

    def registry(self, model: str) -> Manifest | None:
        """Return a model as its registry holds it, None when no registry does."""
        call = model_store.registry_call(model, self._registry)
        reply = self._snapshot.http(call, f"asking the registry at {call.url}", next_step="check the host's way to the internet")
        return model_store.manifest(model, reply.status, reply.body, call.url)

    def _store(self) -> ModelStore:
        found = self._target().container
        container = self._engine.inspect(str(found.value)) if found is not None else None
        if container is not None:
            return ModelStore(model_store.InContainer(self._snapshot, container, self._engine.exec, self._execute))
        if self._snapshot.platform == "windows":
            return ModelStore(windows_store.OnWindows(self._snapshot, windows_store.folder(self._snapshot)))
        return ModelStore(model_store.OnHost(self._snapshot, self._folder()))

    def _folder(self) -> str:
        """Return the folder of a native server's models: what systemd gives it, else the service's own or the login's."""
        call = Run(("systemctl", "show", "ollama", "--property=Environment", "--value"))
        reply = self._snapshot.ask(call)[0]
        named = re.search(r"OLLAMA_MODELS=(\S+)", reply.text) if isinstance(reply, Completed) else None
        if named:
            return named[1]
        for place in ("/usr/share/ollama/.ollama/models", "/root/.ollama/models"):
            seen = self._snapshot.ask(Run(("test", "-d", place)))[0]
            if isinstance(seen, Completed) and seen.rc == 0:
                return place
        raise CallFailed("the folder of Ollama's models was not found", host=self._snapshot.host)

    def _execute(self, name: str, argv: list[str]) -> Executed:
        raise CallFailed(f"{argv[0]} in {name} would change it, and this is a reader", host=self._snapshot.host)

    def _get(self, call: Http) -> Any:
        reply = self._answer(call)
        return self._json(call, reply.status, reply.body)

    def _answer(self, call: Http) -> HttpReply:
        """Return the answer to a request; raises `DeadlineExceeded` saying how to restart a server that is there and silent."""
        try:
            return self._snapshot.http(call, what_for(call), next_step=START)
        except DeadlineExceeded as late:
            waited = _WAITED.search(late.message)  # another request of the same look may have waited for both
            seconds = waited[1] if waited else f"{call.timeout:g}"
            raise DeadlineExceeded(
                f"Ollama at {call.url.partition('/api/')[0]} accepts connections but does not answer ({seconds} s)",
                host=self._snapshot.host,
                next_step=self._restart(),
            ) from late

    def _restart(self) -> str:
        container = self._target().container
        return restart_advice(str(container.value) if container is not None else "", windows=self._snapshot.platform == "windows")

    def _json(self, call: Http, status: int, body: bytes) -> Any:
        try:
            value = _loaded(body) if body else {}
        except ValueError:
            value = None
        said = value.get("error") if isinstance(value, dict) else None
        if value is None and status in BEHIND_A_PROXY:
            raise CallFailed(
                f"what answers at {call.url} is a proxy, and the server behind it does not answer (HTTP {status})",
                host=self._snapshot.host,
                next_step="start or restart Ollama behind the proxy, or say where it is: endpoint: http://127.0.0.1:11434",
                status=status,
            )
        if status != OK or said:
            words = str(said or body[:200].decode("utf-8", errors="replace").strip() or f"HTTP {status}")
            raise CallFailed(f"Ollama refused {call.url}: {words}", host=self._snapshot.host, status=status, output=words)
        if not isinstance(value, dict):
            raise CallFailed(
                f"what answers at {call.url} is no Ollama: its answer is no JSON",
                host=self._snapshot.host,
                next_step=START,
                status=status,
            )
        return value


@lru_cache(maxsize=128)
def _loaded(body: bytes) -> Any:
    """Return what JSON says, to be read only: a model's metadata is the same at every look, and long."""
    return load_json(body)


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


def json_entries(value: Mapping[str, Any]) -> tuple[ModelEntry, ...]:
    """Return what ``/api/tags`` lists."""
    return tuple(
        ModelEntry(str(each["name"]), int(each.get("size") or 0), str(each.get("digest", "")), dict(each.get("details") or {}))
        for each in value.get("models") or ()
    )


def shown_model(model: str, value: Mapping[str, Any]) -> ModelShow:
    """Return what ``/api/show`` says."""
    return ModelShow(
        model=model,
        parameters=model_parameters(str(value.get("parameters") or "")),
        info=dict(value.get("model_info") or {}),
        details=dict(value.get("details") or {}),
        modelfile=str(value.get("modelfile") or ""),
    )


def model_parameters(text: str) -> dict[str, str]:
    """Return the parameters' text as a mapping; of one that is given several times (``stop``) the last."""
    found = {}
    for line in text.splitlines():
        name, *value = line.strip().split(None, 1)[:2] or [""]
        if value:
            found[name] = value[0]
    return found


def same_name(loaded: str, wanted: str) -> bool:
    """Return whether both names mean the same model; a missing tag is ``latest``."""
    return loaded in {wanted, f"{wanted}:latest"} or f"{loaded}:latest" == wanted


def what_for(call: Http) -> str:
    """Return what a request is about, for an error's sentence."""
    return f"asking Ollama at {call.url}"
