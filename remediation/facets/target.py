"""Finds the target of a repair on a host, with the source of each part.

Variables take precedence. Otherwise, the endpoint is the container that publishes Ollama's port or runs its image, or a native
server. Project, files and folder come from that container's Compose labels. The model is the loaded and stored one, the one named
in the project's ``.env`` or by the application, the only stored one, or the one that the server loaded last by its log. The first
result is kept (`remediation.facets.host_info`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from remediation.connections.addresses import listening_port
from remediation.connections.calls import Call, Failed, HttpReply, ReadFile
from remediation.facets.docker import containers
from remediation.facets.ollama import client as ollama
from remediation.facets.ollama.last_loaded import last_loaded, stored_as
from remediation.facets.ollama.service_log import LINES, ServiceLog, last_listening
from remediation.facets.services.serving import read_serving
from remediation.facets.snapshot import Snapshot, attempt
from remediation.model.errors import CallFailed
from remediation.model.facts import ComposeProject, Container, Found, Serving, Target
from remediation.model.text.digits import is_whole
from remediation.model.text.dotenv import dotenv_settings

PORT = 11434
NATIVE = f"http://127.0.0.1:{PORT}"
_INSIDE = f"{PORT}/tcp"
_IMAGE = re.compile(r"(^|/)ollama/ollama(?![\w-])")
_MODEL = "OLLAMA_MODEL"
_EVERYWHERE = frozenset({"0.0.0.0", "::", "[::]", ""})
_OK = 200
_BROKEN = 500


@dataclass(frozen=True, slots=True)
class Finder:
    """Finds the target in one snapshot. `containers` may raise if there is no engine; `first` returns its first calls.

    `logs` returns the end of a container's log. Without `model`, the model is not determined; without `history`, it is not looked up
    in the log which one was loaded last.
    """

    snapshot: Snapshot
    variables: Mapping[str, Any]
    containers: Callable[[], Sequence[Container]]
    first: Callable[[], Sequence[Call]] = tuple
    model: bool = True
    history: bool = True
    logs: Callable[[str], str] | None = None

    def find(self) -> Target:
        """Return the target. Raises `CallFailed` with the candidates if several containers qualify."""
        guess = str(_text(self.variables, "endpoint") or self.snapshot.hints.get("endpoint") or NATIVE).rstrip("/")
        wanted = () if _text(self.variables, "model") else (ollama.running_call(guess), ollama.models_call(guess))
        dotenv = self.snapshot.hints.get("dotenv")
        self.snapshot.prefetch(*self.first(), *wanted, *((ReadFile(dotenv),) if dotenv and wanted else ()))
        engine = attempt(self.containers) or ()
        container = self._container(engine)
        box = next((each for each in engine if container is not None and each.name == container.value), None)
        project = self._project(box)
        endpoint = self._endpoint(box)
        if endpoint is not None:
            self.snapshot.hints["endpoint"] = endpoint.value
        service = _service(self.variables, box)
        application, user = self._application(engine, project, service)
        known = Target(None, endpoint, container, project, service, application)
        named = _text(self.variables, "model")
        if named is not None:
            return replace(known, model=Found(named, "the variable model"))
        return self._with_model(known, user) if self.model else known

    def _container(self, engine: Sequence[Container]) -> Found | None:
        named = _text(self.variables, "container")
        if named is not None:
            return Found(named, "the variable container")
        if _text(self.variables, "endpoint") is not None:
            return _publishing_container(engine, str(self.variables["endpoint"]))
        scored = sorted(((score, each) for each in engine if (score := _score(each))), key=lambda pair: -pair[0])
        if not scored:
            return None
        best = [each for score, each in scored if score == scored[0][0]]
        if len(best) > 1:
            names = ", ".join(sorted(each.name for each in best))
            raise CallFailed(
                f"several containers may be the Ollama server: {names}",
                host=self.snapshot.host,
                next_step=f"set container in the inventory, or with -e container={best[0].name}",
            )
        return Found(best[0].name, _why(best[0]))

    def _endpoint(self, box: Container | None) -> Found | None:
        named = _text(self.variables, "endpoint")
        if named is not None:
            return Found(named.rstrip("/"), "the variable endpoint")
        if box is not None:
            return _address(box, linux=self.snapshot.platform == "posix")
        return self._native()

    def _native(self) -> Found | None:
        """Return the host's native server: at the default port, else at the address in its environment or its log.

        A proxy at the default port whose server does not answer is returned only if there is no such server.
        """
        first = self._at(NATIVE, f"at port {PORT} of the host")
        if first is not None and not first.source[-1:].isdigit():  # an HTTP error ends with its number
            return first
        url = server_address(read_serving(self.snapshot, anywhere=True))
        found = self._at(url, "at the address in its environment") if url and url != NATIVE else None
        if found is not None or first is not None:
            return found or first
        url = address_in_log(attempt(lambda: ServiceLog(self.snapshot, anywhere=True).read(tail=LINES)) or "")
        return self._at(url, "at the address in its log") if url and url != NATIVE else None

    def _at(self, url: str, where: str) -> Found | None:
        """Return a server at `url`, whether it answers or hangs. None if nothing or another program listens there."""
        reply = self.snapshot.fetch(ollama.version_call(url))[0]
        if isinstance(reply, Failed):
            return Found(url, f"accepts connections {where} but does not answer") if reply.kind == "timeout" else None
        if not isinstance(reply, HttpReply):
            return None
        if reply.status >= _BROKEN:
            return Found(url, f"answers {where} with HTTP {reply.status}")
        return Found(url, f"answers {where}") if reply.status == _OK and b'"version"' in reply.body else None

    def _project(self, box: Container | None) -> Found | None:
        files, folder, name = (
            self.variables.get("compose_files"),
            _text(self.variables, "compose_dir"),
            _text(self.variables, "compose_project"),
        )
        labels = box.labels if box is not None else {}
        labelled = tuple(path for path in labels.get(containers.CONFIG_FILES, "").split(",") if path)
        given = (files,) if isinstance(files, str) else tuple(map(str, files or ()))
        if not given and not labelled:
            return None
        where = folder or labels.get(containers.WORKING_DIR) or _parent((given or labelled)[0])
        paths = tuple(path if _absolute(path) else _join_path(where, path) for path in given) or labelled
        known = name or labels.get(containers.PROJECT) or _project_name(where)
        parts = [part for part, value in (("compose_files", given), ("compose_dir", folder), ("compose_project", name)) if value]
        source = (
            f"the variable {' and '.join(parts)}" if parts else f"the Compose labels of the container {box.name if box else ''}"
        )
        return Found(ComposeProject(known, paths, where), source)

    def _application(
        self, engine: Sequence[Container], project: Found | None, service: Found | None
    ) -> tuple[Found | None, Container | None]:
        """Return the service that uses Ollama, and its container."""
        members = [
            each for each in engine
            if project is not None and each.labels.get(containers.PROJECT) == project.value.name and each.service is not None
        ]  # fmt: skip
        named = _text(self.variables, "application")
        if named is not None:
            return Found(named, "the variable application"), next((each for each in members if each.service == named), None)
        if service is None:
            return None, None
        reasons = {
            each.name: why for each in members if each.service != service.value and (why := _uses(each, str(service.value)))
        }
        services = {each.service for each in members if each.name in reasons}
        if len(services) != 1:
            return None, None
        user = next(each for each in members if each.name in reasons)
        return Found(user.service, reasons[user.name]), user

    def _with_model(self, known: Target, user: Container | None) -> Target:
        configured = self._configured_model(known.project, user)
        loaded, stored = self._list_models(known.endpoint)
        # a deleted model stays loaded until it expires and cannot be loaded again (server/routes.go, DeleteHandler)
        deleted = tuple(
            each for each in loaded if stored is not None and not any(ollama.same_name(each, name) for name in stored)
        )
        usable = tuple(each for each in loaded if each not in deleted)
        model: Found | None = None
        if len(usable) == 1:
            model = Found(usable[0], "is loaded (/api/ps)")
        elif configured is not None and configured.value:
            model = configured
        elif not usable and stored is not None and len(stored) == 1:
            model = Found(stored[0], "is the only one stored (/api/tags)")
        elif self.history and not loaded and stored:
            named = self._last_loaded_models(known, stored)
            model = Found(named[0], "was loaded last (the server's log)") if len(named) == 1 else None
            stored = named or stored
        candidates = () if model is not None else usable or stored or ()
        return replace(known, model=model, configured=configured, candidates=candidates, deleted=deleted)

    def _last_loaded_models(self, known: Target, stored: tuple[str, ...]) -> tuple[str, ...]:
        """Return the stored models whose file the server loaded last."""
        name = str(known.container.value) if known.container is not None else ""
        if known.endpoint is None or (name and self.logs is None):
            return ()
        logs = self.logs
        log = attempt(lambda: logs(name) if name and logs is not None else ServiceLog(self.snapshot).read(tail=LINES))
        return stored_as(self.snapshot, str(known.endpoint.value), last_loaded(log or ""), stored)

    def _configured_model(self, project: Found | None, user: Container | None) -> Found | None:
        """Return the model named in the project's ``.env`` or by the application. None if neither could be read."""
        if project is not None:
            path = self.snapshot.hints["dotenv"] = dotenv_of(project.value)
            content: bytes | None = attempt(lambda: self.snapshot.content(ReadFile(path)) or b"")
            wanted = dotenv_settings((content or b"").decode("utf-8-sig", errors="replace")).get(_MODEL)
            if wanted:
                return Found(wanted, f"{path}: {_MODEL}")
            if content is None:
                return None
        named = user.environment.get(_MODEL) if user is not None else None
        if named and user is not None:
            return Found(named, f"{_MODEL} of the container {user.name}")
        return Found("", f"no {_MODEL} in .env") if project is not None else None

    def _list_models(self, endpoint: Found | None) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
        """Return the loaded and the stored models. The latter are None if the server does not list them."""
        if endpoint is None:
            return (), None
        url = str(endpoint.value)
        client = ollama.OllamaByHttp.at(self.snapshot, url)
        self.snapshot.fetch(ollama.running_call(url), ollama.models_call(url))
        loaded = tuple(each.model for each in attempt(client.running) or ())
        stored = attempt(client.models)
        return loaded, None if stored is None else tuple(each.name for each in stored)


def server_address(serving: Serving) -> str:
    """Return the address that a native server's OLLAMA_HOST names, as reached from its host, or ""."""
    environment = {**serving.declared, **((serving.process.environment if serving.process is not None else None) or {})}
    named = environment.get("OLLAMA_HOST", "").strip().strip("\"'")
    if not named:
        return ""
    rest = named.rpartition("://")[2].partition("/")[0]
    host = rest.rpartition(":")[0] if is_whole(rest.rpartition(":")[2]) and ":" in rest else rest
    return f"http://{'127.0.0.1' if host in _EVERYWHERE else host}:{listening_port(named)}"


def address_in_log(log: str) -> str:
    """Return the address of the last server in a log, as reached from its host, or ""."""
    host, port = last_listening(log) or ("", "")
    if not port:
        return ""
    return f"http://{'127.0.0.1' if host in _EVERYWHERE else host}:{port}"


def dotenv_of(project: ComposeProject) -> str:
    """Return the path of a project's ``.env``."""
    return _join_path(project.working_dir, ".env")


def _score(container: Container) -> int:
    """Return a score for a container being the Ollama server, 0 if it is not."""
    image = _IMAGE.search(container.image) is not None
    started = " ".join([str(container.raw.get("Path", "")), *map(str, container.raw.get("Args") or ())])
    serves = bool(re.search(r"(^|/)ollama serve\b", started))
    publishes = _INSIDE in container.ports and bool(container.ports[_INSIDE])
    if not (publishes or serves or (image and not started.strip())):
        return 0
    return 1 + 8 * publishes + 4 * container.running + 2 * serves + image


def _why(container: Container) -> str:
    bound = container.ports.get(_INSIDE)
    return f"publishes port {PORT} at {bound[0]}" if bound else f"runs {container.image}"


def _publishing_container(engine: Sequence[Container], endpoint: str) -> Found | None:
    """Return the container that publishes an endpoint's port on this host."""
    match = re.fullmatch(r"https?://(?:127\.0\.0\.1|localhost|\[::1\]):(\d+)/?", endpoint)
    for each in engine if match else ():
        for address in each.ports.get(_INSIDE, ()):
            if match and address.rpartition(":")[2] == match[1]:
                return Found(each.name, f"publishes port {match[1]} of the endpoint")
    return None


def _address(box: Container, *, linux: bool) -> Found | None:
    for address in box.ports.get(_INSIDE, ()):
        host, _, port = address.rpartition(":")
        return Found(f"http://{'127.0.0.1' if host in _EVERYWHERE else host}:{port}", f"published by the container {box.name}")
    networks = (box.raw.get("NetworkSettings") or {}).get("Networks") or {}
    own = [str(each["IPAddress"]) for each in networks.values() if each.get("IPAddress")]
    if own and linux:  # Docker Desktop's networks are inside its virtual machine
        return Found(f"http://{own[0]}:{PORT}", f"the container {box.name} publishes no port; this is its internal address")
    return None


def _service(variables: Mapping[str, Any], box: Container | None) -> Found | None:
    named = _text(variables, "service")
    if named is not None:
        return Found(named, "the variable service")
    if box is None or box.service is None:
        return None
    return Found(box.service, f"the Compose label of the container {box.name}")


def _uses(container: Container, service: str) -> str:
    """Return why a container is considered a user of Ollama, or ""."""
    for name, value in container.environment.items():
        if re.search(rf"//{re.escape(service)}(:\d+)?(/|$)", value) or (name.startswith("OLLAMA_") and f":{PORT}" in value):
            return f"{name} of the container {container.name} refers to it"
    depends = container.labels.get("com.docker.compose.depends_on", "")
    if service in {each.partition(":")[0] for each in depends.split(",")}:
        return f"the container {container.name} depends on it"
    return ""


def _text(variables: Mapping[str, Any], name: str) -> str | None:
    value = variables.get(name)
    return value if isinstance(value, str) and value else None


def _absolute(path: str) -> bool:
    return path.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[\\/]", path) is not None


def _separator(path: str) -> str:
    return "\\" if "\\" in path or re.match(r"[A-Za-z]:", path) else "/"


def _join_path(folder: str, name: str) -> str:
    return f"{folder.rstrip('/').rstrip(chr(92))}{_separator(folder)}{name}"


def _parent(path: str) -> str:
    head, slash, _ = path.rpartition(_separator(path))
    return head if slash else "."


def _project_name(folder: str) -> str:
    last = re.split(r"[\\/]", folder.rstrip("\\/"))[-1]
    return re.sub(r"[^-_a-z0-9]", "", last.lower())
