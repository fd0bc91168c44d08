"""Recreates a container from its own inspection, through requests of the Engine API.

The API's records of a container are the definition to create it from (``Config``, ``HostConfig``, the endpoints of its networks), so
that nothing has to be translated to options of ``docker run``. The old container is renamed, and given back if the new one does
not run.
"""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote

from remediation.model.errors import CallFailed, DeadlineExceeded, HostError

_ALONE = ("none", "host")
_DEFAULT = ("default", "bridge", "nat", "")
_ENDPOINT = ("IPAMConfig", "Links", "DriverOpts", "GwPriority")
_STOPS = 30
"""Seconds after which the engine kills a container that does not stop."""
_PROVES = 3.0
"""Seconds that a new container has to run before the old one is removed."""


class EngineApi(Protocol):
    """One request of the Engine API. Raises `CallFailed` with the engine's own words, and its status."""

    def __call__(self, method: str, path: str, body: Mapping[str, Any] | None = None, /, *, timeout: float = 60.0) -> Any:
        """Return the decoded answer, None if it has no content. Raises `DeadlineExceeded` after `timeout` seconds."""


def spare_name(name: str) -> str:
    """Return the name that a container has while its successor is created."""
    return f"{name}-before-recreation"


def wire(method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
    """Return a request as it is sent over ``docker system dial-stdio``, and a second one that keeps it alive.

    The engine cancels a request whose client has closed its side. Closing is seen only after the next byte was read: with a second
    request behind it, the first one ends undisturbed.
    """
    data = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data + b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n"


class _Received:
    """Bytes that were received, as `http.client.HTTPResponse` reads a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: object, **__: object) -> io.BytesIO:
        """Return the bytes as a file."""
        return io.BytesIO(self._data)


def parse_answer(method: str, data: bytes) -> tuple[int, bytes]:
    """Return the status and the body of the first answer. Raises ValueError if it is incomplete or not HTTP."""
    answer = http.client.HTTPResponse(_Received(data), method=method)  # type: ignore[arg-type]  # it only calls makefile
    try:
        answer.begin()
        return answer.status, answer.read()
    except (http.client.HTTPException, OSError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def definition(record: Mapping[str, Any], changed: Mapping[str, Any], image: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the body that creates a container like this one, and the endpoints to connect afterwards by network.

    Args:
        record: the answer of ``GET /containers/NAME/json``.
        changed: members of ``HostConfig`` with their new values.
        image: the image to create it from.
    """
    config, host = dict(record["Config"]), dict(record["HostConfig"])
    mode = str(host.get("NetworkMode") or "default")
    shared = mode.startswith("container:")
    if shared or mode == "host" or config.get("Hostname") == record["Id"][:12]:
        config.pop("Hostname", None)  # the engine's own choice
        config.pop("Domainname", None) if shared else None
    if shared:
        config.pop("ExposedPorts", None)  # the image's; the engine refuses them with another container's network
    config["Image"] = image
    host["Links"] = [_link(each) for each in host.get("Links") or ()] or None
    host["Mounts"] = [*(host.get("Mounts") or ()), *_anonymous(record, host)] or None
    host.update(changed)
    joined = {} if shared or mode in _ALONE else dict((record.get("NetworkSettings") or {}).get("Networks") or {})
    ends = {name: _endpoint(record, end) for name, end in joined.items()}
    first = next((name for name, end in joined.items() if mode in {name, end.get("NetworkID")}), None)
    body = {**config, "HostConfig": host}
    if mode in _DEFAULT:
        ends = {name: end for name, end in ends.items() if name not in _DEFAULT}
    elif first is not None:
        body["NetworkingConfig"] = {"EndpointsConfig": {first: ends.pop(first)}}
    return body, ends


def recreate(api: EngineApi, host: str, name: str, changed: Mapping[str, Any]) -> None:
    """Replace a container by one with a changed ``HostConfig``. The old one runs again if the new one does not."""
    was = api("GET", f"/containers/{quote(name)}/json")
    spare = spare_name(name)
    try:
        api("POST", f"/containers/{quote(name)}/stop?t={_STOPS}", timeout=2.0 * _STOPS)
        record = api("GET", f"/containers/{quote(name)}/json")  # without what only a running container has
        body, more = definition(record, changed, _image(api, record))
        api("POST", f"/containers/{quote(name)}/rename?name={quote(spare)}")
        api("POST", f"/containers/create?name={quote(name)}", body)
        for network, end in more.items():
            api("POST", f"/networks/{quote(network, safe='')}/connect", {"Container": name, "EndpointConfig": end})
        api("POST", f"/containers/{quote(name)}/start")
        _runs(api, host, name)
    except (CallFailed, DeadlineExceeded) as error:
        _restore(api, host, name, str(was["Id"]), error)
        raise
    api("DELETE", f"/containers/{quote(spare)}?v=0")


def give_back(api: EngineApi, name: str, old: str) -> None:
    """Remove what has the name by now, rename the old container, and start it. `old` is its ID or its name."""
    found = _inspect(api, name)
    kept = api("GET", f"/containers/{quote(old)}/json")
    if found is not None and found["Id"] != kept["Id"]:
        api("DELETE", f"/containers/{quote(name)}?force=1&v=0")
        found = None
    if found is None:
        api("POST", f"/containers/{quote(old)}/rename?name={quote(name)}")
    api("POST", f"/containers/{quote(name)}/start")


def _restore(api: EngineApi, host: str, name: str, old: str, error: HostError) -> None:
    try:
        give_back(api, name, old)
    except HostError as second:
        raise CallFailed(
            f"the new container {name} does not run ({error.message}), and the old one was not given back: {second.message}",
            host=host, next_step=f"docker rm -f {name}; docker rename {spare_name(name)} {name}; docker start {name}",
        ) from error  # fmt: skip


def _runs(api: EngineApi, host: str, name: str) -> None:
    """Raise `CallFailed` if a container that was just started ends within `_PROVES` seconds."""
    try:
        ended = api("POST", f"/containers/{quote(name)}/wait", timeout=_PROVES)
    except DeadlineExceeded:
        if not (api("GET", f"/containers/{quote(name)}/json")).get("RestartCount"):
            return
        ended = {}
    code = f" with exit code {ended['StatusCode']}" if "StatusCode" in ended else ""
    raise CallFailed(
        f"the new container {name} ended at once{code}", host=host, next_step=f"docker logs {name} before the next try"
    )


def _inspect(api: EngineApi, name: str) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = api("GET", f"/containers/{quote(name)}/json")
    except CallFailed as error:
        if error.status != http.HTTPStatus.NOT_FOUND:
            raise
        return None
    return found


def _image(api: EngineApi, record: Mapping[str, Any]) -> str:
    """Return the image by its name, or by its ID if another image has the name by now: a repair is no upgrade."""
    name, known = str(record["Config"].get("Image") or ""), str(record["Image"])
    try:
        now = api("GET", f"/images/{quote(name)}/json")["Id"] if name else ""
    except CallFailed as error:
        if error.status != http.HTTPStatus.NOT_FOUND:
            raise
        now = ""
    return name if now == known else known


def _anonymous(record: Mapping[str, Any], host: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the mounts of volumes that no option names: a new container would get empty ones."""
    named = {each.split(":")[1] for each in host.get("Binds") or () if ":" in each}
    named |= {str(each.get("Target")) for each in host.get("Mounts") or () if each.get("Source") or each.get("Type") != "volume"}
    return [
        {"Type": "volume", "Source": each["Name"], "Target": each["Destination"], "ReadOnly": not each.get("RW", True)}
        for each in record.get("Mounts") or ()
        if each.get("Type") == "volume" and each["Destination"] not in named
    ]


def _link(given: str) -> str:
    """Convert a link as it is inspected (``/db:/ollama/store``) to the form that creates it (``db:store``)."""
    source, _, target = given.partition(":")
    return f"{source.lstrip('/')}:{target.rpartition('/')[2]}"


def _endpoint(record: Mapping[str, Any], end: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: end[key] for key in _ENDPOINT if end.get(key)}
    aliases = [each for each in end.get("Aliases") or () if each != record["Id"][:12]]
    mac = {"MacAddress": end["MacAddress"]} if end.get("MacAddress") else {}  # a stopped container keeps only a chosen one
    return {**kept, **({"Aliases": aliases} if aliases else {}), **mac}
