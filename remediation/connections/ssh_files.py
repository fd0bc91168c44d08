"""Files over SSH: by sftp as the login, and by small constant shell scripts where another user's rights are needed."""

from __future__ import annotations

import secrets
import stat
from collections.abc import Callable
from contextlib import suppress

import paramiko

from remediation.connections.base import Completed, Failed, FileContent, ReadFile, Reply, WriteFile

_MISSING = 44
_READ = '[ -e "$1" ] || exit 44; wc -c <"$1" || exit 1; if [ "$3" = tail ]; then tail -c "$2" "$1"; else head -c "$2" "$1"; fi'
_WRITE = (
    'set -e; f=$(readlink -f -- "$1" || printf %s "$1"); t="$f.remediation-part"; trap \'rm -f -- "$t"\' EXIT; umask 022; cat >"$t"; '
    '[ "$(wc -c <"$t")" -eq "$2" ] || { echo "not all of the file arrived" >&2; exit 1; }; '
    'if [ -e "$f" ]; then chown --reference="$f" "$t" 2>/dev/null || :; chmod --reference="$f" "$t"; [ -z "$3" ] || cp -p "$f" "$3"; fi; mv -f "$t" "$f"'
)

Execute = Callable[[tuple[str, ...], bytes, float], Reply]


def read(sftp: paramiko.SFTPClient, call: ReadFile) -> FileContent:
    """Read a file or its end; raises OSError."""
    try:
        with sftp.open(call.path, "rb") as file:
            size = file.stat().st_size or 0
            start = max(0, size - call.limit) if call.tail else 0
            wanted = min(call.limit, size - start) if size else call.limit
            if size > _PREFETCH:
                file.prefetch(start + wanted)
            file.seek(start)
            content = file.read(wanted)
    except FileNotFoundError:
        return FileContent(missing=True)
    return FileContent(content, truncated=size > call.limit)


_PREFETCH = 100_000


def write(sftp: paramiko.SFTPClient, call: WriteFile, execute: Execute) -> Reply:
    """Write a file beside its place and rename it there, mode and owner kept; raises OSError."""
    path = call.path
    with suppress(OSError):
        path = sftp.normalize(call.path)  # the file is replaced, not a link to it
    try:
        before: paramiko.SFTPAttributes | None = sftp.stat(path)
    except FileNotFoundError:
        before = None
    if before is not None and call.backup is not None:
        copied = execute(("cp", "-p", "--", path, call.backup), b"", call.timeout)
        if not isinstance(copied, Completed) or copied.rc != 0:
            said = copied.stderr.decode("utf-8", "replace").strip() if isinstance(copied, Completed) else copied
            return Failed("error", f"{call.backup}: the backup could not be written: {said}")
    part = f"{path}.{secrets.token_hex(4)}.remediation-part"
    try:
        with sftp.open(part, "wbx") as file:
            file.set_pipelined(pipelined=True)
            file.write(call.content)
        if before is not None and before.st_mode is not None:
            sftp.chmod(part, stat.S_IMODE(before.st_mode))
            if before.st_uid is not None and before.st_gid is not None:
                with suppress(OSError):
                    sftp.chown(part, before.st_uid, before.st_gid)
        if sftp.stat(part).st_size != len(call.content):
            return Failed("error", f"{path}: not all of the file arrived")
        sftp.posix_rename(part, path)
    except BaseException:
        with suppress(OSError, EOFError, paramiko.SSHException):
            sftp.remove(part)
        raise
    return FileContent()


def read_by_script(execute: Execute, call: ReadFile) -> Reply:
    """Read a file by head or tail."""
    argv = ("sh", "-c", _READ, "read", call.path, str(call.limit), "tail" if call.tail else "head")
    done = execute(argv, b"", call.timeout)
    if not isinstance(done, Completed):
        return done
    if done.rc == _MISSING:
        return FileContent(missing=True)
    if done.rc != 0:
        return _refused(call.path, done)
    size, _, content = done.stdout.partition(b"\n")
    return FileContent(content, truncated=int(size) > call.limit)


def write_by_script(execute: Execute, call: WriteFile) -> Reply:
    """Write a file by cat and mv."""
    argv = ("sh", "-c", _WRITE, "write", call.path, str(len(call.content)), call.backup or "")
    done = execute(argv, call.content, call.timeout)
    if not isinstance(done, Completed):
        return done
    return FileContent() if done.rc == 0 else _refused(call.path, done)


def _refused(path: str, done: Completed) -> Failed:
    said = " ".join(done.stderr.decode("utf-8", "replace").split())
    kind = "denied" if "ermission denied" in said else "not-found" if "No such file" in said else "error"
    return Failed(kind, f"{path}: {said or f'exit code {done.rc}'}")
