"""Common parts of local and remote POSIX hosts: quoting for a remote shell, and sudo."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from remediation.connections.calls import Completed, Failed, Reply, Run
from remediation.connections.settings import Become

# sudo reads the password line only if it needs one; the shell behind it skips lines up to the mark, byte by byte,
# so that the program gets exactly its own stdin in both cases. The mark on stderr separates sudo's refusal from the program's failure.
_AFTER_SUDO = 'while IFS= read -r line; do [ "$line" = "$0" ] && break; done; printf "%s\\n" "$0" >&2; exec "$@"'


# The variables are passed on stdin, before the program's own: every user of the host can read command lines.
_WITH_ENVIRONMENT = (
    "remediation_text=; "
    'while IFS= read -r remediation_line; do [ "$remediation_line" = "$0" ] && break; remediation_text="$remediation_text$remediation_line\n"; done; '
    'eval "$remediation_text"; unset remediation_text remediation_line; exec "$@"'
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_OF_THE_SHELL = re.compile(
    r"BASH.*|DIRSTACK|EPOCH.*|EUID|FUNCNAME|GROUPS|HISTCMD|LINENO|OPTIND|PPID|RANDOM|SECONDS|SHELLOPTS|SRANDOM|UID", re.ASCII
)
"""Variables that some shells do not let a script set freely. They are not suitable for secrets."""


# sudo may start a program in another session (use_pty), outside the process group, so its descendants are ended too.
_KILL = (
    'all=$(ps -e -o pid= -o ppid= -o pgid= | awk -v group="$1" \''
    "{ parent[$1] = $2; if ($1 == group || $3 == group) found[$1] } "
    "END { do { more = 0; for (one in parent) if (!(one in found) && (parent[one] in found)) { found[one]; more = 1 } } while (more); "
    "for (one in found) print one }') 2>/dev/null; "
    'kill -s TERM -- "-$1" $all; sleep 0.3 || sleep 1; kill -s KILL -- "-$1" $all'
)


def kill(group: int) -> tuple[str, ...]:
    """Return the program that ends a process group and its descendants, with a short delay for cleanup."""
    return ("sh", "-c", _KILL, "kill", str(group))


def unfit(call: Run) -> Failed | None:
    """Return why a POSIX host cannot run this program, or None."""
    if not call.argv or not call.argv[0]:
        return Failed("error", "the argument list is empty")
    if any("\0" in word for word in call.argv):
        return Failed("error", f"an argument of {call.argv[0]} contains a NUL, which cannot be passed to a program")
    if "\0" in (call.cwd or ""):
        return Failed("error", f"the folder {call.cwd!r} contains a NUL, which no path can have")
    for name, value in call.env.items():
        if not is_environment_name(name):
            return Failed("error", f"{name!r} is not a valid name of an environment variable")
        if "\0" in value:
            return Failed("error", f"the environment variable {name} contains a NUL, which cannot be passed to a program")
    return None


def is_environment_name(name: str) -> bool:
    """Return whether `name` is a valid environment variable name: letters, digits and underscores, no digit first."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class StartCommand:
    """How to start a program: its arguments, and the beginning of its stdin."""

    argv: tuple[str, ...]
    head: bytes = b""


def with_environment(argv: Sequence[str], env: Mapping[str, str]) -> StartCommand:
    """Return how to start `argv` with environment variables, which sudo and sshd do not pass on."""
    plain = [f"{name}={value}" for name, value in env.items() if _OF_THE_SHELL.fullmatch(name)]
    words = ("env", *plain, *argv) if plain else tuple(argv)
    given = [f"export {name}={shlex.quote(value)}\n" for name, value in env.items() if not _OF_THE_SHELL.fullmatch(name)]
    if not given:
        return StartCommand(words)
    mark = f"remediation-{secrets.token_hex(16)}"
    head = f"{''.join(given)}{mark}\n".encode("utf-8", "surrogateescape")
    return StartCommand(("sh", "-c", _WITH_ENVIRONMENT, mark, *words), head)


_NOT_FOUND = 127
SECURE_PATH = "the PATH that sudo sets (secure_path in sudoers)"
_CURES = (
    (re.compile(r"incorrect password|no password was provided|try again", re.IGNORECASE), "correct ansible_become_password, or enter it with --ask-become-pass"),
    (re.compile(r"password is required", re.IGNORECASE), "set ansible_become_password, or enter it with --ask-become-pass"),
    (re.compile(r"not in the sudoers|may not run|not allowed to", re.IGNORECASE), "allow the login to use sudo, or choose another one: ansible_user"),
)  # fmt: skip
"""The refusals that every further attempt would get too, with what to do about them."""


def refusal_cure(message: str) -> str:
    """Return the next step for a refusal of sudo, or "" for another message."""
    return next((cure for pattern, cure in _CURES if "sudo refused" in message and pattern.search(message)), "")


@dataclass(frozen=True, slots=True)
class Sudo:
    """The start of a program as another user."""

    argv: tuple[str, ...]
    head: bytes
    """The beginning of stdin: the password (never on a command line), the mark, and the variables."""
    mark: str
    program: str = ""

    def reply(self, done: Completed) -> Reply:
        """Return the program's result, or sudo's refusal."""
        _, found, after = done.stderr.partition(f"{self.mark}\n".encode())
        if found and done.rc == _NOT_FOUND and self.program and _not_found_message(self.program).search(after):
            return Failed("not-found", f"{self.program} is not on {SECURE_PATH}", self.program)
        if found:
            return Completed(done.rc, done.stdout, after)  # before it are sudo's lecture, prompt and warnings
        text = done.stderr.decode("utf-8", "replace")
        prompt = _prompt(self.mark)
        message = " ".join(text.partition(prompt)[2].replace(prompt, " ").split() or text.split())
        return Failed("denied", f"sudo refused: {message or 'no reason given'}")


def _not_found_message(program: str) -> re.Pattern[bytes]:
    """Return the message of dash, bash or BusyBox for a program that `exec` does not find."""
    return re.compile(rb"exec: (?:line \d{1,9}: )?" + re.escape(program.encode("utf-8", "surrogateescape")) + rb": not found")


def _prompt(mark: str) -> str:
    """Return the prompt for the password: what sudo writes before it is its lecture, which says nothing about the refusal."""
    return f"{mark}? "


def sudo(become: Become, argv: Sequence[str], env: Mapping[str, str]) -> Sudo:
    """Return how to start `argv` with sudo."""
    started = with_environment(argv, env)
    mark = f"remediation-{secrets.token_hex(16)}"
    head = f"{become.password or ''}\n{mark}\n".encode() + started.head
    # -k: a cached password must not decide whether this one is read
    flags = ("-k", "-S", "-p", _prompt(mark)) if become.password is not None else ("-n",)
    return Sudo(("sudo", *flags, "-u", become.user, "--", "sh", "-c", _AFTER_SUDO, mark, *started.argv), head, mark, argv[0])


class ProgramRunner:
    """Runs the programs of a connection, with sudo if the inventory asks for it.

    A refused sudo is not repeated: each attempt counts as a failed login, which may lock the account.
    """

    def __init__(self, become: Become | None) -> None:
        self._become = become
        self._refused: Failed | None = None
        self.accepted = become is None
        """Whether sudo has accepted the login before."""

    def run(self, call: Run, execute: Callable[[Run], Reply]) -> Reply:
        """Run a program. `execute` starts one exactly as given."""
        if (fault := unfit(call)) is not None:
            return fault
        if self._become is None:
            return execute(call)
        if self._refused is not None:
            return self._refused
        elevated = sudo(self._become, call.argv, call.env)
        done = execute(replace(call, argv=elevated.argv, stdin=elevated.head + call.stdin, env={}))
        reply = elevated.reply(done) if isinstance(done, Completed) else done
        if isinstance(reply, Completed):
            self.accepted = True
        elif isinstance(reply, Failed) and refusal_cure(reply.message):
            self._refused = reply
        return reply
