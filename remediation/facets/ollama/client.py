"""The target's Ollama server, queried through HTTP from the host itself (Ollama documentation: API)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from remediation.connections.calls import Completed, Http, HttpReply, Run
from remediation.facets.checked import checked
from remediation.facets.ollama import model_store, windows_store
from remediation.facets.ollama.model_store import ModelStore
from remediation.facets.ollama.service_log import ServiceLog
from remediation.facets.services.serving import read_serving
from remediation.facets.snapshot import Snapshot, disk_advice
from remediation.model.errors import CallFailed, DeadlineExceeded
from remediation.model.facts import Blob, ExecResult, Found, Manifest, ModelEntry, ModelShow, Runner, Target
from remediation.model.facts.server import restart_advice
from remediation.model.text.json_text import load_json
from remediation.model.text.timestamps import parse_timestamp

if TYPE_CHECKING:
    from remediation.facets.protocols import EngineReader

OK = 200
NOT_FOUND = 404
PATIENCE = 10.0
"""Timeout in seconds for answers from memory: the version and the loaded models."""
FROM_DISK = 20.0
"""Timeout in seconds for answers that read the disk: the stored models and their metadata."""
BEHIND_A_PROXY = frozenset({502, 503, 504})
"""Status codes of a proxy whose server does not answer."""
_WAITED = re.compile(r"was not answered within ([\d.]+) s")
_UNTRUSTED = re.compile(r"certificate|trust relationship", re.IGNORECASE)
_NO_TLS = re.compile(
    r"wrong.version.number|record layer failure|unexpected packet format|frame size|handshake failed", re.IGNORECASE
)
_RESET = re.compile(
    r"connection (?:was |has been )?(?:reset|aborted|closed)|remote end closed|empty reply|recv failure", re.IGNORECASE
)
_FILE = re.compile(r"\b(?:open|write|mkdir|create|rename|copy|sync) (\S.*?): ")
"""The file in an error of Go's standard library."""
START = "start Ollama, or set the address at which it listens: endpoint: http://HOST:PORT"


def version_call(endpoint: str) -> Http:
    """Return the request for the server's version."""
    return Http("GET", f"{endpoint}/api/version", timeout=PATIENCE)


def running_call(endpoint: str) -> Http:
    """Return the request for the loaded models."""
    return Http("GET", f"{endpoint}/api/ps", timeout=PATIENCE)


def models_call(endpoint: str) -> Http:
    """Return the request for the stored models."""
    return Http("GET", f"{endpoint}/api/tags", timeout=FROM_DISK)


def show_call(endpoint: str, model: str) -> Http:
    """Return the request for a model's metadata. Servers up to v0.1.39 read ``name``."""
    return Http("POST", f"{endpoint}/api/show", {"model": model, "name": model}, timeout=FROM_DISK)


@checked("ollama")
class OllamaByHttp:
    """The server at the target's endpoint. `registry` replaces the models' own registry; `seen` keeps the last seen runners."""

    def __init__(
        self, snapshot: Snapshot, target: Callable[[], Target], engine: EngineReader | None, registry: str | None = None, seen: dict[str, Runner] | None = None
    ) -> None:  # fmt: skip
        self._snapshot, self._target, self._engine, self._registry = snapshot, target, engine, registry
        self._seen = {} if seen is None else seen

    @classmethod
    def at(cls, snapshot: Snapshot, endpoint: str) -> OllamaByHttp:
        """Return the server at an endpoint, of which nothing else is needed."""
        return cls(snapshot, lambda: Target(endpoint=Found(endpoint, "given")), None)

    @property
    def endpoint(self) -> str:
        """The target's URL. Raises `CallFailed` if there is none."""
        found = self._target().endpoint
        if found is None:
            raise CallFailed("no Ollama was found on this host", host=self._snapshot.host, next_step=START)
        return str(found.value)

    def version(self) -> str:
        """Return the server's version."""
        return str(self._get(version_call(self.endpoint))["version"])

    def running(self) -> Sequence[Runner]:
        """Return the loaded models."""
        found = runners(self._get(running_call(self.endpoint)))
        self._seen.update({runner.model: runner for runner in found if not self._leaves(runner)})
        return found

    def _leaves(self, runner: Runner) -> bool:
        """Whether a runner is being unloaded: it is still listed, with an earlier expiry than before."""
        earlier = self._seen.get(runner.model)
        before, now = (parse_timestamp(each.expires_at) if each is not None else None for each in (earlier, runner))
        return before is not None and now is not None and now < before

    def last_runner(self, model: str) -> Runner | None:
        """Return a model's runner as last seen in this run."""
        return next((runner for name, runner in self._seen.items() if same_name(name, model)), None)

    def models(self) -> Sequence[ModelEntry]:
        """Return the stored models."""
        return json_entries(self._get(models_call(self.endpoint)))

    def show(self, model: str) -> ModelShow | None:
        """Return a model's metadata, or None if the server does not have it."""
        call = show_call(self.endpoint, model)
        reply = self._answer(call)
        if reply.status == NOT_FOUND:
            return None
        return parse_model(model, self._json(call, reply.status, reply.body))

    def log(self, *, tail: int = 4000) -> str:
        """Return the end of the server's log, from its container or service."""
        return self._snapshot.memoize(f"log {tail}", lambda: self._log(tail))

    def _log(self, tail: int) -> str:
        container = self._target().container
        if container is not None and self._engine is not None:
            return self._engine.logs(str(container.value), tail=tail)
        return ServiceLog(self._snapshot).read(tail=tail)

    def blobs(self, model: str, *, verify: bool = False, timeout: float = 900.0) -> Sequence[Blob] | None:
        """Return the layers in a stored model's manifest, or None if it has no manifest."""
        return self._store().blobs(model, verify=verify, timeout=timeout)

    def quarantined_blobs(self) -> Sequence[str]:
        """Return the digests of the blobs that were moved aside."""
        return self._store().quarantined_blobs()

    def registry(self, model: str) -> Manifest | None:
        """Return a model's manifest in its registry, or None if the registry does not have it."""
        call = model_store.registry_call(model, self._registry)
        reply = self._snapshot.http(
            call, f"querying the registry at {call.url}", next_step="check the host's internet connection"
        )
        return model_store.manifest(model, reply.status, reply.body, call.url)

    def _store(self) -> ModelStore:
        engine, found = self._engine, self._target().container
        container = engine.inspect(str(found.value)) if engine is not None and found is not None else None
        if engine is not None and container is not None:
            return ModelStore(model_store.InContainer(self._snapshot, container, engine.exec, self._execute))
        if self._snapshot.platform == "windows":
            return ModelStore(windows_store.OnWindows(self._snapshot, windows_store.folder(self._snapshot)))
        return ModelStore(model_store.OnHost(self._snapshot, self._folder()))

    def _folder(self) -> str:
        """Return a native server's model folder: from its environment, else the service's default, else root's."""
        serving = read_serving(self._snapshot)
        if serving.elsewhere is not None:  # its models are not those of the server that is addressed
            raise CallFailed(str(serving.elsewhere), host=self._snapshot.host, next_step=serving.elsewhere.next_step)
        environment = {**serving.declared, **((serving.process.environment if serving.process is not None else None) or {})}
        for name, below in (("OLLAMA_MODELS", ""), ("HOME", "/.ollama/models")):
            if environment.get(name):
                return f"{environment[name]}{below}"
        call = Run(("systemctl", "show", "ollama", "--property=Environment", "--value"))
        reply = self._snapshot.fetch(call)[0]
        named = re.search(r"OLLAMA_MODELS=(\S+)", reply.text) if isinstance(reply, Completed) else None
        if named:
            return named[1]
        for place in ("/usr/share/ollama/.ollama/models", "/root/.ollama/models"):
            seen = self._snapshot.fetch(Run(("test", "-d", place)))[0]
            if isinstance(seen, Completed) and seen.rc == 0:
                return place
        raise CallFailed("the folder of Ollama's models was not found", host=self._snapshot.host)

    def _execute(self, name: str, argv: list[str]) -> ExecResult:
        raise CallFailed(f"{argv[0]} in {name} would change it, which a reader must not do", host=self._snapshot.host)

    def _get(self, call: Http) -> Any:
        reply = self._answer(call)
        return self._json(call, reply.status, reply.body)

    def _answer(self, call: Http) -> HttpReply:
        """Send a request. If the server accepts connections but does not answer, the error says how to restart it."""
        try:
            return self._snapshot.http(call, what_for(call), next_step=START)
        except DeadlineExceeded as late:
            waited = _WAITED.search(late.message)  # an earlier request of the same snapshot may have timed out for both
            seconds = waited[1] if waited else f"{call.timeout:g}"
            raise DeadlineExceeded(
                f"Ollama at {call.url.partition('/api/')[0]} accepts connections but does not answer ({seconds} s)",
                host=self._snapshot.host,
                next_step=self._restart(),
            ) from late
        except CallFailed as error:
            cure = connection_cure(call.url, error.message)
            if not cure:
                raise
            raise CallFailed(error.message, host=self._snapshot.host, next_step=cure, status=error.status) from error

    def _restart(self) -> str:
        container = self._target().container
        return restart_advice(str(container.value) if container is not None else "", windows=self._snapshot.platform == "windows")

    def _json(self, call: Http, status: int, body: bytes) -> Any:
        try:
            value = _parse_json(body) if body else {}
        except ValueError:
            value = None
        error = value.get("error") if isinstance(value, dict) else None
        if value is None and status in BEHIND_A_PROXY:
            raise CallFailed(
                f"a proxy answers at {call.url}, but the server behind it does not (HTTP {status})",
                host=self._snapshot.host,
                next_step="start or restart Ollama behind the proxy, or set the address at which it listens: endpoint: http://HOST:PORT",
                status=status,
            )
        if status != OK or error:
            words = str(error or body[:200].decode("utf-8", errors="replace").strip() or f"HTTP {status}")
            opened = _FILE.search(words)
            raise CallFailed(
                f"Ollama refused {call.url}: {words}",
                host=self._snapshot.host,
                next_step=disk_advice(words, opened[1]) if opened is not None else "",
                status=status,
                output=words,
            )
        if not isinstance(value, dict):
            raise CallFailed(
                f"the server at {call.url} is not Ollama: its answer is not JSON",
                host=self._snapshot.host,
                next_step=START,
                status=status,
            )
        return value


@lru_cache(maxsize=1024)
def _parse_json(body: bytes) -> Any:
    """Parse JSON for reading only. Cached, because a model's metadata is long and the same in every snapshot."""
    return load_json(body)


def runners(value: Mapping[str, Any]) -> tuple[Runner, ...]:
    """Convert the answer of ``/api/ps``."""
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
    """Convert the answer of ``/api/tags``."""
    return tuple(
        ModelEntry(str(each["name"]), int(each.get("size") or 0), str(each.get("digest", "")), dict(each.get("details") or {}))
        for each in value.get("models") or ()
    )


def parse_model(model: str, value: Mapping[str, Any]) -> ModelShow:
    """Convert the answer of ``/api/show``."""
    return ModelShow(
        model=model,
        parameters=model_parameters(str(value.get("parameters") or "")),
        info=dict(value.get("model_info") or {}),
        details=dict(value.get("details") or {}),
        modelfile=str(value.get("modelfile") or ""),
    )


def model_parameters(text: str) -> dict[str, str]:
    """Parse the parameters into a mapping. For repeated ones (``stop``), the last is kept."""
    found = {}
    for line in text.splitlines():
        name, *value = line.strip().split(None, 1)[:2] or [""]
        if value:
            found[name] = value[0]
    return found


def same_name(loaded: str, wanted: str) -> bool:
    """Return whether two names refer to the same model. A missing tag means ``latest``, and case does not count."""
    one, other = loaded.lower(), wanted.lower()
    return one in {other, f"{other}:latest"} or f"{one}:latest" == other


def connection_cure(url: str, message: str) -> str:
    """Return the next step if a connection failed because of TLS, by the words of OpenSSL, curl or .NET, else ""."""
    scheme, _, rest = url.partition("://")
    place = rest.partition("/")[0]
    if scheme == "https" and _UNTRUSTED.search(message):
        return (
            f"let the host trust the certificate of {place} (its authority in the system's store), "
            "or set Ollama's own address without TLS: endpoint: http://127.0.0.1:11434"
        )
    if scheme == "https" and _NO_TLS.search(message):
        return f"if that port does not speak TLS, set endpoint: http://{place}"
    if scheme == "http" and _RESET.search(message):
        return f"if that port speaks TLS, set endpoint: https://{place}; else restart Ollama"
    return ""


def what_for(call: Http) -> str:
    """Return what a request does, for error messages."""
    return f"querying Ollama at {call.url}"
