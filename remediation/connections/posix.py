"""What POSIX hosts have in common, here or over SSH: quoting for a remote shell in one place, and sudo."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from remediation.connections.base import Completed, Failed, Reply
from remediation.connections.settings import Become

# sudo reads the password line only when it needs one; the shell behind it drops whatever stands before our mark, byte by byte,
# so the program gets exactly its own stdin either way.  The mark on stderr tells a refusal of sudo from the program's own failure.
_AFTER_SUDO = 'while IFS= read -r line; do [ "$line" = "$0" ] && break; done; printf "%s\\n" "$0" >&2; exec "$@"'


def command_line(argv: Sequence[str], cwd: str | None, env: Mapping[str, str]) -> str:
    """Return one line for the login shell at the other end of an exec channel, each word quoted."""
    words = shlex.join(with_environment(argv, env))
    return f"cd {shlex.quote(cwd)} && exec {words}" if cwd else f"exec {words}"


def with_environment(argv: Sequence[str], env: Mapping[str, str]) -> tuple[str, ...]:
    """Return `argv` started by env(1) where variables are to be set: neither sudo nor sshd lets them through by themselves."""
    if not env:
        return tuple(argv)
    return ("env", *(f"{name}={value}" for name, value in env.items()), *argv)


@dataclass(frozen=True, slots=True)
class Sudo:
    """One start of a program as another user."""

    argv: tuple[str, ...]
    head: bytes
    """What stdin begins with: the password, which is on no command line, and the mark."""
    mark: str

    def reply(self, done: Completed) -> Reply:
        """Return what the program said, or that sudo refused."""
        line = f"{self.mark}\n".encode()
        before, found, after = done.stderr.partition(line)
        if found:
            return Completed(done.rc, done.stdout, before + after)
        said = " ".join(done.stderr.decode("utf-8", "replace").split())
        return Failed("denied", f"sudo refused: {said or 'no reason given'}")


def sudo(become: Become, argv: Sequence[str]) -> Sudo:
    """Return how `argv` is started by sudo."""
    mark = f"remediation-{secrets.token_hex(16)}"
    head = f"{become.password or ''}\n{mark}\n".encode()
    # -k: a password that sudo remembers from before must not decide whether ours is read
    flags = ("-k", "-S", "-p", "") if become.password is not None else ("-n",)
    return Sudo(("sudo", *flags, "-u", become.user, "--", "sh", "-c", _AFTER_SUDO, mark, *argv), head, mark)
