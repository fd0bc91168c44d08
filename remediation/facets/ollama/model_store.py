"""An Ollama server's model store (manifests and blobs), inside a container or in a folder of the host."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from remediation.connections.calls import Http, Run
from remediation.connections.posix.files import entry_call
from remediation.facets.checked import checked
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import CallFailed
from remediation.model.facts import Blob, Container, ExecResult, Manifest
from remediation.model.text.json_text import load_json

REGISTRY = "registry.ollama.ai"
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
# no part starts with a dot, because names become paths in the store
_NAME = re.compile(
    r"(?:(?P<host>\w[\w.-]*(?::\d+)?)/)??(?:(?P<space>\w[\w.-]*)/)?(?P<model>\w[\w.-]*)(?::(?P<tag>\w[\w.-]*))?", re.ASCII
)
_OK, _NOT_FOUND = 200, 404
_ASIDE = "set-aside"


@dataclass(frozen=True, slots=True)
class Name:
    """A model's full name."""

    host: str
    space: str
    model: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> Name:
        """Parse a model's name. Raises `CallFailed` if it is not valid."""
        match = _NAME.fullmatch(text)
        if match is None:
            raise CallFailed(f"{text!r} is not a valid model name")
        return cls(match["host"] or REGISTRY, match["space"] or "library", match["model"], match["tag"] or "latest")

    @property
    def path(self) -> str:
        """Path of its manifest below ``manifests``."""
        return posixpath.join(self.host, self.space, self.model, self.tag)

    def url(self, registry: str | None = None) -> str:
        """Return the URL of its manifest in its registry."""
        return f"{registry or f'https://{self.host}'}/v2/{self.space}/{self.model}/manifests/{self.tag}"


class BlobStore(Protocol):
    """The files of a store. Paths are relative to it."""

    def read(self, path: str) -> bytes | None:
        """Return a file's content, or None if it does not exist."""

    def sizes(self, folder: str) -> Mapping[str, int]:
        """Return the sizes of a folder's files by name."""

    def digest(self, path: str, *, timeout: float) -> str:
        """Return the SHA-256 of a file."""

    def move(self, path: str, to: str) -> None:
        """Move a file, replacing `to`. The folder of `to` is created."""

    def remove(self, path: str) -> None:
        """Delete a file."""


@dataclass(frozen=True, slots=True)
class ModelStore:
    """Operations on a model store, independent of its location."""

    shelf: BlobStore

    def blobs(self, model: str, *, verify: bool, timeout: float) -> tuple[Blob, ...] | None:
        """Return the layers in a model's manifest, or None if it has no manifest."""
        content = self.shelf.read(f"manifests/{Name.parse(model).path}")
        if content is None:
            return None
        layers = layers_of(content, f"the manifest of {model} on disk")
        there = self.shelf.sizes("blobs")
        found = []
        for layer in layers:
            name = _file(layer.digest)
            present = there.get(name)
            actual = self.shelf.digest(f"blobs/{name}", timeout=timeout) if verify and present is not None else None
            found.append(Blob(layer.digest, layer.size, layer.media_type, present, actual))
        return tuple(found)

    def quarantine(self, digest: str) -> None:
        """Move a blob out of ``blobs``, unless it was moved before."""
        name = _file(digest)
        if name not in self.shelf.sizes("blobs"):
            if name in self.shelf.sizes(_ASIDE):
                return
            raise CallFailed(f"the store has no blob {digest}")
        self.shelf.move(f"blobs/{name}", f"{_ASIDE}/{name}")

    def quarantined_blobs(self) -> tuple[str, ...]:
        """Return the digests of the blobs that were moved aside."""
        return tuple(f"sha256:{match[1]}" for name in self.shelf.sizes(_ASIDE) if (match := _DIGEST.fullmatch(name)))

    def restore(self, digest: str) -> None:
        """Move a blob back, replacing the current one."""
        name = _file(digest)
        if name not in self.shelf.sizes(_ASIDE):
            raise CallFailed(f"blob {digest} was not moved aside")
        self.shelf.move(f"{_ASIDE}/{name}", f"blobs/{name}")

    def discard(self, digest: str) -> None:
        """Delete a blob that was moved aside."""
        self.shelf.remove(f"{_ASIDE}/{_file(digest)}")


class InContainer:
    """The store of a server in a container, accessed with programs inside it."""

    def __init__(
        self,
        snapshot: Snapshot,
        container: Container,
        run: Callable[..., ExecResult],
        write: Callable[[str, list[str]], ExecResult],
    ) -> None:
        self._snapshot, self._name, self._run, self._write = snapshot, container.name, run, write
        self._folder = container.environment.get("OLLAMA_MODELS") or "/root/.ollama/models"

    def read(self, path: str) -> bytes | None:
        """Return a file's content."""
        done = self._run(self._name, ["cat", self._path(path)])
        if done.code != 0 and "no such file" in done.stderr.lower():
            return None
        return self._well(done, f"reading {path}").stdout.encode()

    def sizes(self, folder: str) -> Mapping[str, int]:
        """Return the sizes of a folder's files."""
        done = self._run(self._name, ["ls", "-ln", self._path(folder)])
        if done.code != 0 and "no such file" in done.stderr.lower():
            return {}
        return sizes_of(self._well(done, f"listing {folder}").stdout)

    def digest(self, path: str, *, timeout: float) -> str:
        """Return the SHA-256 of a file."""
        done = self._run(self._name, ["sha256sum", self._path(path)], timeout=timeout)
        return f"sha256:{self._well(done, f'hashing {path}').stdout.split()[0]}"

    def move(self, path: str, to: str) -> None:
        """Move a file."""
        folder = posixpath.dirname(self._path(to))
        self._well(self._write(self._name, ["mkdir", "-p", folder]), f"making {folder}")
        self._well(self._write(self._name, ["mv", "-f", self._path(path), self._path(to)]), f"moving {path}")

    def remove(self, path: str) -> None:
        """Delete a file."""
        self._well(self._write(self._name, ["rm", "-f", self._path(path)]), f"removing {path}")

    def _path(self, path: str) -> str:
        return posixpath.join(self._folder, path)

    def _well(self, done: ExecResult, what: str) -> ExecResult:
        if done.code != 0:
            message = " ".join((done.stderr or done.stdout).split())[-300:]
            raise CallFailed(
                f"{what} in the container {self._name} failed: {message}",
                host=self._snapshot.host,
                status=done.code,
                output=message,
            )
        return done


@checked("models")
class OnHost:
    """The store of a native server on Linux, accessed with programs on the host."""

    def __init__(self, snapshot: Snapshot, folder: str) -> None:
        self._snapshot, self._folder = snapshot, folder

    def read(self, path: str) -> bytes | None:
        """Return a file's content."""
        from remediation.connections.calls import ReadFile

        return self._snapshot.content(ReadFile(self._path(path)))

    def sizes(self, folder: str) -> Mapping[str, int]:
        """Return the sizes of a folder's files."""
        done = self._snapshot.run(Run(("ls", "-ln", self._path(folder))), f"listing {folder}", codes=(0, 1, 2))
        return sizes_of(done.text)

    def digest(self, path: str, *, timeout: float) -> str:
        """Return the SHA-256 of a file."""
        done = self._snapshot.run(Run(("sha256sum", self._path(path)), timeout=timeout), f"hashing {path} in Ollama's store")
        return f"sha256:{done.text.split()[0]}"

    def move(self, path: str, to: str) -> None:
        """Move a file."""
        target = self._path(to)
        for call in (
            entry_call("make", posixpath.dirname(target)),
            entry_call("remove", target),
            entry_call("move", self._path(path), target),
        ):
            self._snapshot.run(call, f"moving {path} in Ollama's store")

    def remove(self, path: str) -> None:
        """Delete a file."""
        self._snapshot.run(entry_call("remove", self._path(path)), f"removing {path} from Ollama's store")

    def _path(self, path: str) -> str:
        return posixpath.join(self._folder, path)


def layers_of(content: bytes, what: str) -> tuple[Blob, ...]:
    """Return the layers in a manifest, including its configuration. Raises `CallFailed` if the manifest is damaged."""
    try:
        value: Any = load_json(content)
        layers = [value["config"], *value["layers"]]
        found = tuple(Blob(str(each["digest"]), int(each["size"]), str(each.get("mediaType", ""))) for each in layers)
    except (ValueError, KeyError, TypeError) as error:
        raise CallFailed(f"{what} is damaged: {error!r}", next_step="fetch the model again: ollama pull") from error
    if not all(_DIGEST.fullmatch(each.digest) for each in found):
        raise CallFailed(f"{what} is damaged: a layer has no valid digest", next_step="fetch the model again: ollama pull")
    return found


def registry_call(model: str, registry: str | None) -> Http:
    """Return the request for a model's manifest."""
    return Http("GET", Name.parse(model).url(registry), timeout=30.0)


def manifest(model: str, status: int, body: bytes, url: str) -> Manifest | None:
    """Parse a registry's answer, None if it does not have the model. The digest is that of the manifest's raw bytes."""
    if status == _NOT_FOUND:
        return None
    if status != _OK:
        raise CallFailed(f"the registry refused {url}: HTTP {status}", status=status)
    return Manifest(model, hashlib.sha256(body).hexdigest(), layers_of(body, f"the manifest at {url}"))


def sizes_of(listing: str) -> dict[str, int]:
    """Parse ``ls -ln`` into the sizes of the plain files."""
    found = {}
    for line in listing.splitlines():
        parts = line.split(None, 8)
        if line.startswith("-") and len(parts) == 9:
            found[parts[8]] = int(parts[4])
    return found


def _file(digest: str) -> str:
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise CallFailed(f"{digest!r} is not a digest")
    return f"sha256-{match[1]}"
