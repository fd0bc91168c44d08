"""Where a secret comes from other than a variable file: a file of one's own, a command, the keyring, the person at the terminal."""

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
"""How long a command may take to tell a secret: long enough for somebody to touch a key."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SourceError(RemediationError):
    """A secret that could not be had."""


class Once:
    """Keeps what was asked for, so that a prompt appears, or a command runs, once for all hosts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Hashable, Secret] = {}

    def get(self, key: Hashable, ask: Callable[[], Secret]) -> Secret:
        """Return the secret of `key`; the first to want it asks, the others wait. A failure is not kept."""
        with self._lock:
            if key not in self._known:
                self._known[key] = ask()
            return self._known[key]


_ONCE = Once()


def from_file(path: Path) -> Secret:
    """Return what a file holds, without the end of its line; it must be readable by its owner alone."""
    path = path.expanduser()
    try:
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & _OTHERS:
            raise SourceError(
                f"{path} holds a secret and can be read by others (mode {stat.S_IMODE(path.stat().st_mode):04o})",
                next_step=f"chmod 600 {shlex.quote(str(path))}",
            )
        text = read_text(path).rstrip("\r\n")
    except UnicodeDecodeError:
        raise SourceError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from None
    return _filled(text, str(path))


def from_command(words: Sequence[str]) -> Secret:
    """Return what a command prints, without the end of its line; it is run once, without a shell."""
    return _ONCE.get(("command", *words), lambda: _filled(output_of(words), f"the command {words[0]}"))


def output_of(words: Sequence[str]) -> str:
    """Return what an argument list prints on stdout, without the newlines at its end; raises `SourceError`."""
    if not words:
        raise SourceError("a command is wanted, and there is none")
    shown = words[0]  # its arguments may be nobody's business
    try:
        code, output, complaints = _run(list(words))
    except subprocess.TimeoutExpired:
        raise SourceError(f"the command {shown} did not answer within {SECONDS} s") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL among its words
        reason = error.strerror if isinstance(error, OSError) else None
        raise SourceError(f"the command {shown} cannot be run: {reason or error}") from None
    if len(output) > LARGEST:
        raise SourceError(f"the command {shown} printed more than {LARGEST // MIB} MiB")
    if code != 0:
        lines = complaints.decode("utf-8", "replace").strip().splitlines()
        said = f": {lines[-1]}" if lines else ""
        raise SourceError(f"the command {shown} ended with {code}{said}")
    try:
        return output.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise SourceError(f"what the command {shown} printed is not UTF-8 text") from None


def _run(words: list[str]) -> tuple[int, bytes, bytes]:
    """Run a command and return its exit code and output; one that prints too much, or takes too long, is ended."""
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        said: dict[str, bytes] = {}

        def read(name: str, stream: IO[bytes]) -> None:
            said[name] = stream.read(LARGEST + 1)
            if len(said[name]) > LARGEST:
                process.kill()

        streams = {"output": process.stdout, "complaints": process.stderr}
        readers = [threading.Thread(target=read, args=(name, stream), daemon=True) for name, stream in streams.items() if stream]
        for reader in readers:
            reader.start()
        try:
            code = process.wait(SECONDS)
        except BaseException:
            process.kill()
            raise
        for reader in readers:
            reader.join(SECONDS)
        return code, said.get("output", b""), said.get("complaints", b"")


def from_keyring(service: str, user: str) -> Secret:
    """Return a password of the system's keyring."""
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        raise SourceError("the keyring cannot be asked", next_step="pip install 'remediation[keyring]'") from None
    try:
        found = keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        raise SourceError(f"the keyring refused: {error}") from None
    if found is None:
        raise SourceError(f"the keyring knows no {user!r} of {service!r}", next_step=f"keyring set {service} {user}")
    return Secret(found)


def from_prompt(question: str) -> Secret:
    """Return what the person at the terminal types, unseen; asked once."""
    return _ONCE.get(("prompt", question), lambda: _asked(question))


def _asked(question: str) -> Secret:
    if sys.stdin is None or not sys.stdin.isatty():
        raise SourceError(
            f"{question!r} cannot be asked: there is no terminal", next_step="take it from the environment, a file or a command"
        )
    try:
        return _filled(getpass.getpass(f"{visible_line(question.rstrip(': '))}: ", stream=sys.stderr), "what was typed")
    except EOFError:
        raise SourceError(f"{question!r} was not answered") from None


def _filled(text: str, what: str) -> Secret:
    if not text:
        raise SourceError(f"{what} holds no secret: it is empty")
    return Secret(text)
