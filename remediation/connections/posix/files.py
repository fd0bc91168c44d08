"""Files of a POSIX host by constant shell scripts: with another user's rights, and all writing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from remediation.connections.calls import Completed, Failed, FileContent, ReadFile, Reply, Run, WriteFile
from remediation.model.text.digits import is_whole

_NOT_FOUND, _LINK, _OTHER = 44, 45, 46
_READ = '[ -e "$1" ] || exit 44; [ -f "$1" ] || exit 46; wc -c <"$1" || exit 1; if [ "$3" = tail ]; then tail -c "$2" "$1"; else head -c "$2" "$1"; fi'

Execute = Callable[[Run], Reply]
"""Runs a program on the host with the rights that the files are to be read and written with."""


@functools.cache
def _script(name: str) -> str:
    """Return a script that enters folders as ``walk.sh`` does."""
    return "".join(Path(__file__).with_name(f"{part}.sh").read_text(encoding="utf-8") for part in ("walk", name))


def entry_call(verb: str, *paths: str) -> Run:
    """Return the call that makes a folder (``make``), moves a file to a name that is not there (``move``) or removes one (``remove``).

    No link that another user put into one of the paths leads it elsewhere.
    """
    return Run(("sh", "-c", _script("entries"), "entries", verb, *paths), writes=True)


def read_file(execute: Execute, call: ReadFile) -> Reply:
    """Read a file or its end by head or tail."""
    argv = ("sh", "-c", _READ, "read", call.path, str(call.limit), "tail" if call.tail else "head")
    done = execute(Run(argv, b"", call.timeout))
    if not isinstance(done, Completed):
        return done
    if done.rc == _NOT_FOUND:
        return FileContent(missing=True)
    if done.rc == _OTHER:
        return no_file(call.path)
    size, _, content = done.stdout.partition(b"\n")
    if done.rc != 0 or not is_whole(size.strip()):
        return _refused(call.path, done)
    return FileContent(content, truncated=int(size) > call.limit)


def write_file(execute: Execute, call: WriteFile) -> Reply:
    """Write a file beside its place and rename it there, owner and mode kept; ``write.sh`` says what protects it meanwhile."""
    argv = ("sh", "-c", _script("write"), "write", call.path, str(len(call.content)), call.backup or "")
    done = execute(Run(argv, call.content, call.timeout))
    if not isinstance(done, Completed):
        return done
    return FileContent() if done.rc == 0 else _refused(call.path, done)


def no_file(path: str) -> Failed:
    """Return the failure of reading a FIFO, a device, a socket or a folder."""
    return Failed("error", f"{path} is not a regular file; nothing else is read")


def _refused(path: str, done: Completed) -> Failed:
    if done.rc == _NOT_FOUND:
        return Failed("not-found", f"{path}: there is no such folder")
    said = " ".join(done.stderr.decode("utf-8", "replace").split())
    kind = "denied" if done.rc == _LINK or "ermission denied" in said else "not-found" if "No such file" in said else "error"
    return Failed(kind, f"{path}: {said or f'exit code {done.rc}'}")
