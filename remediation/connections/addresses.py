"""Parses addresses of HTTP servers as written by users and as needed for requests."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from remediation.model.errors import UsageError

OLLAMA_PORT = 11434
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?", re.ASCII)
_PATH = re.compile(r"[\w./~-]*", re.ASCII)
_REQUESTS = frozenset({"api", "v1", "v2"})
_ITSELF = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_LAST_PORT = 65535
_LONGEST_NAME, _LONGEST_PART = 253, 63


@dataclass(frozen=True, slots=True)
class Address:
    """The destination of a request. `target` is path and query."""

    secure: bool
    host: str
    port: int
    target: str


def address_of(url: str) -> Address:
    """Parse a URL. Raises `ValueError` if it is not an HTTP URL."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("not an http address")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(parts.scheme == "https", parts.hostname, parts.port or _PORTS[parts.scheme], target)


def endpoint(value: object) -> str:
    """Return the URL of an Ollama server without a trailing slash. Raises `UsageError`.

    Accepts the values of OLLAMA_HOST with the same meaning: ``gpu-1`` is ``http://gpu-1:11434``; an empty host and 0.0.0.0 are this
    machine.
    """
    return _server("endpoint", value, scheme="http", port=OLLAMA_PORT)


def listening_port(value: str) -> int:
    """Return the port at which a server with this value of OLLAMA_HOST listens; Ollama ignores an invalid port."""
    try:
        return address_of(endpoint(value.strip().strip("\"'") or "127.0.0.1")).port
    except (UsageError, ValueError):
        return OLLAMA_PORT


def registry_address(value: object) -> str:
    """Return the URL of a registry without a trailing slash. Raises `UsageError`."""
    return _server("registry", value, scheme="https")


def proxy(name: str, value: str) -> str:
    """Return the URL of a proxy, which may contain a login. Raises `UsageError`."""
    login, at, rest = value.rpartition("@")
    before, separator, _ = login.rpartition("://")
    _server(name, f"{before}{separator}{rest}" if at else value, scheme="http")
    return value


def _server(name: str, value: object, *, scheme: str, port: int | None = None) -> str:
    text = str(value).strip()
    before, separator, rest = text.rpartition("://")
    where, _, behind = rest.partition("/")
    used, behind = before.lower() if separator else scheme, behind.strip("/")
    host, number = _apart(where)
    if port is not None:
        host = _ITSELF.get(host, host) if host or number else host
    reason = _reason(used, where, host, number) or _reason_of_path(behind)
    if reason:
        shown = re.sub(r"(//|^')[^/@]*@", r"\1***@", repr(text))
        example = f"{scheme}://127.0.0.1:{port}" if port else f"{scheme}://registry.example"
        raise UsageError(f"{name} cannot be {shown}: {reason}", next_step=f"write {name} as {example}")
    number = str(port) if number is None and not separator and port else number
    return f"{used}://{host}" + (f":{number}" if number else "") + (f"/{behind}" if behind else "")


def _reason(scheme: str, where: str, host: str, number: str | None) -> str:
    if scheme not in _PORTS:
        return f"the scheme {scheme!r} is neither http nor https"
    if "@" in where:
        return "credentials are not allowed here"
    if not _is_host(host):
        return "it has no valid host name" if host else "it has no host name"
    if number is not None and not (_PORT.fullmatch(number) and 0 < int(number) <= _LAST_PORT):
        return f"{number!r} is not a TCP port"
    return ""


def _reason_of_path(path: str) -> str:
    if not _PATH.fullmatch(path):
        return f"/{path} is not a path"
    request = next((each for each in path.split("/") if each in _REQUESTS), None)
    return f"/{request} belongs to a request, not to the address" if request else ""


def is_host_name(text: str) -> bool:
    """Return whether a name can be looked up in DNS: its parts have 1 to 63 characters, and it 253 at most."""
    return len(text) <= _LONGEST_NAME and all(0 < len(part) <= _LONGEST_PART for part in text.removesuffix(".").split("."))


def _is_host(text: str) -> bool:
    if not text.startswith("["):
        return _HOST.fullmatch(text) is not None and is_host_name(text)
    try:
        ipaddress.IPv6Address(text[1:-1].replace("%25", "%"))
    except ValueError:
        return False
    return text.endswith("]")


def _apart(where: str) -> tuple[str, str | None]:
    """Split into host and port, None if there is no port. An IPv6 address without brackets gets them."""
    if where.startswith("["):
        host, bracket, rest = where.partition("]")
        return f"{host}{bracket}", rest.removeprefix(":") if rest else None
    if where.count(":") > 1:
        return f"[{where}]", None
    host, colon, number = where.partition(":")
    return host, number if colon else None
