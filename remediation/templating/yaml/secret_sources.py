"""Sources of secrets other than variable files: a file, a command, the keyring, a prompt on the terminal."""

from __future__ import annotations

import getpass
import importlib
import os
import shlex
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import IO

from remediation.model.errors import RemediationError
from remediation.model.files import LARGEST, MIB, read_text
from remediation.model.text.visible import visible_line
from remediation.templating.yaml.secret import Secret

SECONDS = 60
"""Time limit of a command that prints a secret in seconds: long enough to touch a security key."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SourceError(RemediationError):
    """A secret could not be obtained."""


class Once:
    """Remembers answers, so that a prompt appears, or a command runs, once for all hosts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Hashable, Secret] = {}

    def get(self, key: Hashable, read: Callable[[], Secret]) -> Secret:
        """Return the secret of `key`. The first caller obtains it and the others wait; a failure is not remembered."""
        with self._lock:
            if key not in self._known:
                self._known[key] = read()
            return self._known[key]


_ONCE = Once()


def from_file(path: Path) -> Secret:
    """Return a file's content without the trailing newline; only its owner may have access."""
    path = path.expanduser()
    try:
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & _OTHERS:
            raise SourceError(
                f"{path} contains a secret and other users can access it (mode {stat.S_IMODE(path.stat().st_mode):04o})",
                next_step=f"chmod 600 {shlex.quote(str(path))}",
            )
        text = read_text(path).rstrip("\r\n")
    except UnicodeDecodeError:
        raise SourceError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from None
    return _require_text(text, str(path))


def from_command(words: Sequence[str]) -> Secret:
    """Return a command's output without the trailing newline; it runs once, without a shell."""
    return _ONCE.get(("command", *words), lambda: _require_text(output_of(words), f"the command {words[0]}"))


def output_of(words: Sequence[str]) -> str:
    """Return the stdout of a command without trailing newlines. Raises `SourceError`."""
    if not words:
        raise SourceError("no command given")
    shown = words[0]  # its arguments may be confidential
    try:
        code, output, complaints = _run(list(words))
    except subprocess.TimeoutExpired:
        raise SourceError(f"the command {shown} did not answer within {SECONDS} s") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL among its words
        reason = error.strerror if isinstance(error, OSError) else None
        raise SourceError(f"cannot run the command {shown}: {reason or error}") from None
    if len(output) > LARGEST:
        raise SourceError(f"the command {shown} printed more than {LARGEST // MIB} MiB")
    if code != 0:
        lines = complaints.decode("utf-8", "replace").strip().splitlines()
        last_line = f": {lines[-1]}" if lines else ""
        raise SourceError(f"the command {shown} exited with code {code}{last_line}")
    try:
        return output.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise SourceError(f"the output of the command {shown} is not UTF-8 text") from None


def _run(words: list[str]) -> tuple[int, bytes, bytes]:
    """Run a command and return its exit code and output; kill it if it prints too much or takes too long."""
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        output: dict[str, bytes] = {}

        def read(name: str, stream: IO[bytes]) -> None:
            output[name] = stream.read(LARGEST + 1)
            if len(output[name]) > LARGEST:
                process.kill()

        streams = {"output": process.stdout, "complaints": process.stderr}
        readers = [threading.Thread(target=read, args=(name, stream), daemon=True) for name, stream in streams.items() if stream]
        for reader in readers:
            reader.start()
        try:
            code = process.wait(SECONDS)
        except BaseException:  # too slow, or an interrupt: the command must not go on
            process.kill()
            raise
        for reader in readers:
            reader.join(SECONDS)
        return code, output.get("output", b""), output.get("complaints", b"")


def from_keyring(service: str, user: str) -> Secret:
    """Return a password from the system's keyring."""
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        raise SourceError("the keyring is not available", next_step="pip install 'remediation[keyring]'") from None
    try:
        found = keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        raise SourceError(f"the keyring refused: {error}") from None
    if found is None:
        raise SourceError(f"the keyring has no password for {user!r} of {service!r}", next_step=f"keyring set {service} {user}")
    return Secret(found)


def from_prompt(question: str) -> Secret:
    """Return what the user types at the terminal without echo; prompted once."""
    return _ONCE.get(("prompt", question), lambda: _prompt_secret(question))


def _prompt_secret(question: str) -> Secret:
    if sys.stdin is None or not sys.stdin.isatty():
        raise SourceError(
            f"cannot prompt for {question!r}: no terminal", next_step="take it from the environment, a file or a command"
        )
    try:
        return _require_text(getpass.getpass(f"{visible_line(question.rstrip(': '))}: ", stream=sys.stderr), "the input")
    except EOFError:
        raise SourceError(f"{question!r} was not answered") from None


def _require_text(text: str, what: str) -> Secret:
    if not text:
        raise SourceError(f"{what}: the secret is empty")
    return Secret(text)
