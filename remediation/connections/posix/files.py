"""File access on POSIX hosts through constant shell scripts: reading as another user, and all writing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from remediation.connections.calls import Completed, Failed, FileContent, ReadFile, Reply, Run, WriteFile
from remediation.model.text.digits import is_whole

_NOT_FOUND, _LINK, _OTHER = 44, 45, 46
_READ = '[ -e "$1" ] || { case $({ true <"$1"; } 2>&1) in *ermission*) exit 45;; esac; exit 44; }; [ -f "$1" ] || exit 46; wc -c <"$1" || exit 1; if [ "$3" = tail ]; then tail -c "$2" "$1"; else head -c "$2" "$1"; fi'

Execute = Callable[[Run], Reply]
"""Runs a program on the host as the user who reads or writes the files."""


@functools.cache
def _script(name: str) -> str:
    """Return a script that starts with ``walk.sh``."""
    return "".join(Path(__file__).with_name(f"{part}.sh").read_text(encoding="utf-8") for part in ("walk", name))


def entry_call(verb: str, *paths: str) -> Run:
    """Return the call that creates a folder (``make``), moves a file to an unused name (``move``) or removes one (``remove``).

    Symbolic links that other users put into the path are not followed.
    """
    return Run(("sh", "-c", _script("entries"), "entries", verb, *paths), writes=True)


def read_file(execute: Execute, call: ReadFile) -> Reply:
    """Read a file or its end with head or tail."""
    if (fault := _impossible(call.path)) is not None:
        return fault
    argv = ("sh", "-c", _READ, "read", call.path, str(call.limit), "tail" if call.tail else "head")
    done = execute(Run(argv, b"", call.timeout))
    if isinstance(done, Failed) and done.kind == "timeout":
        return Failed("timeout", f"{call.path} was not read within {call.timeout:g} s")
    if not isinstance(done, Completed):
        return done
    if done.rc == _NOT_FOUND:
        return FileContent(missing=True)
    if done.rc == _OTHER:
        return Failed("error", f"{call.path} is not a regular file")
    if done.rc == _LINK or b"ermission denied" in done.stderr:
        return Failed("denied", f"{call.path}: permission denied")
    size, _, content = done.stdout.partition(b"\n")
    if done.rc != 0 or not is_whole(size.strip()):
        return _no_folder(call.path, done)
    return FileContent(content, truncated=int(size) > call.limit)


def write_file(execute: Execute, call: WriteFile) -> Reply:
    """Replace a file by renaming a new one into place, keeping owner and mode. ``write.sh`` describes the protection."""
    if (fault := _impossible(call.path)) is not None:
        return fault
    argv = ("sh", "-c", _script("write"), "write", call.path, str(len(call.content)), call.backup or "")
    done = execute(Run(argv, call.content, call.timeout))
    if not isinstance(done, Completed):
        return done
    return FileContent() if done.rc == 0 else _no_folder(call.path, done)


def _impossible(path: str) -> Failed | None:
    """Return the failure of a path that no POSIX host can have, or None."""
    return Failed("error", f"the path {path!r} contains a NUL, which no path can have") if "\0" in path else None


def _no_folder(path: str, done: Completed) -> Failed:
    if done.rc == _NOT_FOUND:
        return Failed("not-found", f"{path}: no such folder")
    message = " ".join(done.stderr.decode("utf-8", "replace").split())
    kind = (
        "denied" if done.rc == _LINK or "ermission denied" in message else "not-found" if "No such file" in message else "error"
    )
    return Failed(kind, f"{path}: {message or f'exit code {done.rc}'}")
