"""What POSIX hosts have in common, here or over SSH: quoting for a remote shell in one place, and sudo."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from remediation.connections.calls import Completed, Failed, Reply, Run
from remediation.connections.settings import Become

# sudo reads the password line only when it needs one; the shell behind it drops whatever stands before our mark, byte by byte,
# so the program gets exactly its own stdin either way.  The mark on stderr tells a refusal of sudo from the program's own failure.
_AFTER_SUDO = 'while IFS= read -r line; do [ "$line" = "$0" ] && break; done; printf "%s\\n" "$0" >&2; exec "$@"'


# The variables come on stdin, before the program's own: every user of the host can read a command line.
_WITH_ENVIRONMENT = (
    "remediation_text=; "
    'while IFS= read -r remediation_line; do [ "$remediation_line" = "$0" ] && break; remediation_text="$remediation_text$remediation_line\n"; done; '
    'eval "$remediation_text"; unset remediation_text remediation_line; exec "$@"'
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_OF_THE_SHELL = re.compile(
    r"BASH.*|DIRSTACK|EPOCH.*|EUID|FUNCNAME|GROUPS|HISTCMD|LINENO|OPTIND|PPID|RANDOM|SECONDS|SHELLOPTS|SRANDOM|UID", re.ASCII
)
"""Variables that some shell does not let a script set, or not to any text. They are no place for a secret."""


# sudo may start a program in a session of its own (use_pty), which the group does not reach: so its descendants end as well.
_KILL = (
    'all=$(ps -e -o pid= -o ppid= -o pgid= | awk -v group="$1" \''
    "{ parent[$1] = $2; if ($3 == group) found[$1] } "
    "END { do { more = 0; for (one in parent) if (!(one in found) && (parent[one] in found)) { found[one]; more = 1 } } while (more); "
    "for (one in found) print one }') 2>/dev/null; "
    'kill -s TERM -- "-$1" $all; sleep 0.3 || sleep 1; kill -s KILL -- "-$1" $all'
)


def kill(group: int) -> tuple[str, ...]:
    """Return the program that ends a process group and all that it has started; it gives them a moment to tidy up."""
    return ("sh", "-c", _KILL, "kill", str(group))


def unfit(call: Run) -> Failed | None:
    """Return why a POSIX host cannot be given this program, None where it can."""
    if not call.argv or not call.argv[0]:
        return Failed("error", "the argument list is empty")
    if any("\0" in word for word in call.argv):
        return Failed("error", f"an argument of {call.argv[0]} holds a NUL, which no program can be given")
    for name, value in call.env.items():
        if not is_environment_name(name):
            return Failed("error", f"{name!r} is not a valid name of an environment variable")
        if "\0" in value:
            return Failed("error", f"the environment variable {name} holds a NUL, which no program can be given")
    return None


def is_environment_name(name: str) -> bool:
    """Return whether `name` can be an environment variable's: letters, digits and underscores, no digit first."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Started:
    """How a program is started: its arguments, and what its stdin begins with."""

    argv: tuple[str, ...]
    head: bytes = b""


def with_environment(argv: Sequence[str], env: Mapping[str, str]) -> Started:
    """Return how `argv` is started with variables: neither sudo nor sshd passes them on by themselves."""
    plain = [f"{name}={value}" for name, value in env.items() if _OF_THE_SHELL.fullmatch(name)]
    words = ("env", *plain, *argv) if plain else tuple(argv)
    given = [f"export {name}={shlex.quote(value)}\n" for name, value in env.items() if not _OF_THE_SHELL.fullmatch(name)]
    if not given:
        return Started(words)
    mark = f"remediation-{secrets.token_hex(16)}"
    head = f"{''.join(given)}{mark}\n".encode("utf-8", "surrogateescape")
    return Started(("sh", "-c", _WITH_ENVIRONMENT, mark, *words), head)


@dataclass(frozen=True, slots=True)
class Sudo:
    """One start of a program as another user."""

    argv: tuple[str, ...]
    head: bytes
    """What stdin begins with: the password, which is on no command line, the mark, and the variables."""
    mark: str

    def reply(self, done: Completed) -> Reply:
        """Return what the program said, or that sudo refused."""
        line = f"{self.mark}\n".encode()
        before, found, after = done.stderr.partition(line)
        if found:
            return Completed(done.rc, done.stdout, before + after)
        said = " ".join(done.stderr.decode("utf-8", "replace").split())
        return Failed("denied", f"sudo refused: {said or 'no reason given'}")


def sudo(become: Become, argv: Sequence[str], env: Mapping[str, str]) -> Sudo:
    """Return how `argv` is started by sudo."""
    started = with_environment(argv, env)
    mark = f"remediation-{secrets.token_hex(16)}"
    head = f"{become.password or ''}\n{mark}\n".encode() + started.head
    # -k: a password that sudo remembers from before must not decide whether ours is read
    flags = ("-k", "-S", "-p", "") if become.password is not None else ("-n",)
    return Sudo(("sudo", *flags, "-u", become.user, "--", "sh", "-c", _AFTER_SUDO, mark, *started.argv), head, mark)
