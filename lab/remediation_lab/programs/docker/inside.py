"""Programs inside a container: the small ones of the image, on the files that a container has."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from remediation_lab.ollama import shelf
from remediation_lab.programs import Call, Done, failed, nvidia_smi, printed
from remediation_lab.programs.docker.ollama_cli import ollama
from remediation_lab.world.state import Container

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

HOME = "/root/.ollama"
Program = Callable[["Machine", Container, Sequence[str]], Done]


def execute(machine: Machine, container: Container, words: Sequence[str]) -> Done:
    """Run one program in a running container."""
    name, *rest = words
    found = PROGRAMS.get(posixpath.basename(name))
    if found is not None:
        return found(machine, container, rest)
    if name == "nvidia-smi" and container.wants_gpu and (machine.state.card.fallen or machine.state.card.reset):
        return failed("Failed to initialize NVML: Unknown Error", rc=255)
    if name == "nvidia-smi" and container.wants_gpu:
        call = Call(("nvidia-smi", *rest), b"", "/", {}, machine.clock.now() + 30)
        done = nvidia_smi.nvidia_smi(machine, call)
        return Done(done.rc, done.stdout.replace(b"\r\n", b"\n"), done.stderr)
    server = machine.engine.server(container)
    if name == "ollama" and server is not None:
        return ollama(machine, server, rest)
    text = f'OCI runtime exec failed: exec failed: unable to start container process: exec: "{name}": executable file not found in $PATH: unknown'
    return Done(126, f"{text}\n".encode())


def _env(_: Machine, container: Container, __: Sequence[str]) -> Done:
    values = {"PATH": "", "HOSTNAME": container.id[:12], **container.environment, "HOME": "/root"}
    return printed("".join(f"{key}={value}\n" for key, value in values.items()))


def _files(machine: Machine, container: Container) -> dict[str, shelf.File]:
    server = machine.engine.server(container)
    return {f"{HOME}/{path}": file for path, file in shelf.files(server.models).items()} if server is not None else {}


def _missing(program: str, path: str, what: str = "") -> Done:
    return failed(
        f"{program}: {what}{path!r}: No such file or directory" if what else f"{program}: {path}: No such file or directory"
    )


def _cat(machine: Machine, container: Container, words: Sequence[str]) -> Done:
    found, out = _files(machine, container), b""
    for path in words:
        if path not in found:
            return _missing("cat", path)
        out += found[path].content or b"GGUF"
    return Done(0, out)


def _sha256sum(machine: Machine, container: Container, words: Sequence[str]) -> Done:
    found, out = _files(machine, container), ""
    for path in words:
        if path not in found:
            return _missing("sha256sum", path)
        machine.clock.sleep(found[path].size / machine.state.disk)
        out += f"{found[path].sha256}  {path}\n"
    return printed(out)


def _ls(machine: Machine, container: Container, words: Sequence[str]) -> Done:
    flags = "".join(word for word in words if word.startswith("-"))
    found, out = _files(machine, container), ""
    named = [word for word in words if not word.startswith("-")] or ["/"]
    if "R" in flags:
        named = [each for folder in named for each in _below(found, folder.rstrip("/"))]
    for folder in named:
        plain = folder.rstrip("/")
        out += ("\n" if out else "") + f"{plain}:\n" if "R" in flags else ""
        if plain in found:
            entries = {plain: found[plain].size}
            folders: set[str] = set()
        else:
            below = {path[len(plain) + 1 :]: file for path, file in found.items() if path.startswith(f"{plain}/")}
            if not below:
                return failed(f"ls: cannot access '{folder}': No such file or directory", rc=2)
            entries = {name: file.size for name, file in below.items() if "/" not in name}
            folders = {name.split("/")[0] for name in below if "/" in name}
            out += f"total {sum(entries.values()) // 1024}\n" if "l" in flags else ""
        stamp = datetime.fromtimestamp(int(container.created), timezone.utc).strftime("%b %e %H:%M")
        for name in sorted({*entries, *folders}):
            kind, size = ("drwxr-xr-x 2", 4096) if name in folders else ("-rw-r--r-- 1", entries[name])
            out += f"{kind} 0 0 {size:>12} {stamp} {name}\n" if "l" in flags else f"{name}\n"
    return printed(out)


def _below(found: Mapping[str, shelf.File], folder: str) -> list[str]:
    """Return a folder and every folder in it, as ``ls -R`` walks them."""
    inner = {posixpath.dirname(path) for path in found if path.startswith(f"{folder}/")}
    above = {parent for path in inner for parent in _parents(path) if parent == folder or parent.startswith(f"{folder}/")}
    return sorted(above, key=lambda path: path.split("/")) or [folder]


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(2, len(parts) + 1)]


def _mkdir(_: Machine, __: Container, ___: Sequence[str]) -> Done:
    return printed("")  # a folder exists as soon as it holds a file


def _mv(machine: Machine, container: Container, words: Sequence[str]) -> Done:
    source, target = [word for word in words if not word.startswith("-")]
    server = machine.engine.server(container)
    if server is None:
        return _missing("mv", source, "cannot stat ")
    try:
        shelf.move(server.models, source.removeprefix(f"{HOME}/"), target.removeprefix(f"{HOME}/"))
    except FileNotFoundError:
        return failed(f"mv: cannot stat '{source}': No such file or directory")
    except ValueError:
        return failed(f"mv: cannot move '{source}' to '{target}': Operation not permitted")
    machine.state.wrote(f"mv {posixpath.basename(posixpath.dirname(target))}")
    return printed("")


def _rm(machine: Machine, container: Container, words: Sequence[str]) -> Done:
    server = machine.engine.server(container)
    for path in [word for word in words if not word.startswith("-")]:
        try:
            if server is None:
                raise FileNotFoundError(path)  # noqa: TRY301  # the same answer as for a missing file
            shelf.remove(server.models, path.removeprefix(f"{HOME}/"))
            machine.state.wrote(f"rm {posixpath.basename(posixpath.dirname(path))}")
        except FileNotFoundError:
            if "-f" not in words:
                return failed(f"rm: cannot remove '{path}': No such file or directory")
    return printed("")


def _df(machine: Machine, _: Container, words: Sequence[str]) -> Done:
    state, path = machine.state, [word for word in words if not word.startswith("-")][-1:] or ["/"]
    total, free = state.disk_total // 1024, state.disk_free // 1024
    head = "Filesystem     1024-blocks      Used Available Capacity Mounted on"
    return printed(f"{head}\n/dev/sdd {total:>20} {total - free:>9} {free:>9} {100 - 100 * free // total:>7}% {path[0]}\n")


def _find(_: Machine, __: Container, ___: Sequence[str]) -> Done:
    return printed("")  # /tmp is empty


PROGRAMS: Mapping[str, Program] = {
    "env": _env, "cat": _cat, "sha256sum": _sha256sum, "ls": _ls, "mkdir": _mkdir, "mv": _mv, "rm": _rm, "df": _df, "find": _find,
}  # fmt: skip
