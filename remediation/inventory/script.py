"""Executable inventories: a program that prints groups as JSON for ``--list``, and a host's variables for ``--host NAME``."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from itertools import islice
from pathlib import Path
from typing import IO, Any

from remediation.model.errors import Place, Problem
from remediation.model.text.json_text import load_json
from remediation.templating.yaml.loader import problem
from remediation.templating.yaml.located import Rows, Table, Text

TIMEOUT = 120.0
LARGEST = 16 * 1024 * 1024
"""Most bytes that a program may print, as for an inventory file."""
META = "_meta"
PARTS = ("hosts", "vars", "children")

_until: ContextVar[float] = ContextVar("until", default=math.inf)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Limit the time that the programs of inventories may take together."""
    before = _until.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _until.reset(before)


_PROGRAMS = (b"#!", b"\x7fELF", b"\xcf\xfa\xed\xfe")
"""How programs begin: scripts, and those of Linux and macOS."""


def is_program(path: Path) -> bool:
    """Return whether an inventory is a program: executable, and with a line that names its interpreter or compiled."""
    try:
        if not path.is_file():  # a pipe can be read only once, and one without a writer would block
            return False
        with path.open("rb") as file:
            return file.read(4).startswith(_PROGRAMS) and os.access(path, os.X_OK)
    except OSError:
        return False


def read_program(path: Path, problems: list[Problem]) -> Table:
    """Return the groups that the program prints. Mistakes are added to `problems`."""
    place = Place(str(path), 1, 1)
    empty = Table({}, place)
    content = _run_script(path, ("--list",), problems)
    if not isinstance(content, Mapping):
        if content is not None:
            kind = "a list" if isinstance(content, list) else f"{content!r:.40}"
            problems.append(problem(f"{path} --list printed {kind}; expected a mapping of groups", place))
        return empty
    meta = content.get(META)
    known = meta.get("hostvars") if isinstance(meta, Mapping) else None
    groups: dict[str, Any] = {}
    for name, value in content.items():
        if name == META:
            continue
        given = {"hosts": value} if isinstance(value, list) else value
        wrong = _problem_of(given)
        if wrong:
            problems.append(problem(f"{path}: group {name}: {wrong}", place))
            continue
        own = {str(host): _variables(path, str(host), known, problems) for host in given.get("hosts") or ()}
        parts = {"hosts": _table(own, place), "children": _table(dict.fromkeys(given.get("children") or ()), place)}
        if given.get("vars"):
            parts["vars"] = _data(given["vars"], place)
        groups[str(name)] = _table({key: part for key, part in parts.items() if part}, place)
    return _table(groups, place)


def _problem_of(group: Any) -> str:
    """Return what is wrong with a group, "" if nothing is."""
    if not isinstance(group, Mapping):
        return "expected a list of hosts, or a mapping"
    if group and not any(part in group for part in PARTS):
        return f"expected a mapping with {', '.join(PARTS)}, got {', '.join(map(repr, islice(group, 3)))}"
    for part in ("hosts", "children"):
        names = group.get(part) or ()
        if not isinstance(names, (list, tuple, Mapping)) or not all(isinstance(name, (str, int)) for name in names):
            return f"{part} must be a list of names"
    return "" if isinstance(group.get("vars") or {}, Mapping) else "vars must be a mapping"


def _variables(path: Path, host: str, known: Any, problems: list[Problem]) -> Table | None:
    if isinstance(known, Mapping):
        found, source = known.get(host), f"hostvars of {host}"
    else:
        found, source = _run_script(path, ("--host", host), problems), f"--host {host}"
    if found is not None and not isinstance(found, Mapping):
        problems.append(problem(f"{path}: {source}: expected a mapping of variables", Place(str(path), 1, 1)))
        return None
    return _data(found, Place(str(path), 1, 1)) if found else None


def _run_script(path: Path, words: tuple[str, ...], problems: list[Problem]) -> Any:
    place = Place(str(path), 1, 1)
    shown = f"{path} {' '.join(words)}"
    try:
        code, output, errors = run_bounded([str(path.resolve()), *words], min(TIMEOUT, _until.get() - time.monotonic()), LARGEST)
    except (OverflowError, TimeoutError) as error:
        problems.append(problem(f"{shown} was ended: {error}", place))
        return None
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)  # it is there: its first line names an interpreter that is not
        reason = "its first line names a program that does not exist" if missing else error.strerror or error
        problems.append(problem(f"{shown} cannot be run: {reason}", place))
        return None
    if code:
        messages = errors.decode(errors="replace").strip().splitlines()
        problems.append(problem(f"{shown} ended with exit code {code}{f': {messages[-1]}' if messages else ''}", place))
        return None
    try:
        return load_json(output, LARGEST)
    except ValueError as error:
        problems.append(problem(f"{shown} did not print JSON: {error}", place))
        return None


def run_bounded(argv: Sequence[str], seconds: float, largest: int) -> tuple[int, bytes, bytes]:
    """Run a program and return its exit code and both outputs.

    Raises `TimeoutError` and `OverflowError` if it runs too long or prints too much; it and the programs that it started are ended.
    """
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    outputs = (bytearray(), bytearray())
    readers = [
        threading.Thread(target=_read, args=(stream, into, largest, process), daemon=True)
        for stream, into in zip((process.stdout, process.stderr), outputs, strict=True)
    ]
    for reader in readers:
        reader.start()
    end = time.monotonic() + seconds
    for reader in readers:
        reader.join(max(0.0, end - time.monotonic()))
    late = any(reader.is_alive() for reader in readers)
    try:
        process.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        late = True
    if late:
        _end(process)
    process.wait()
    if any(len(output) > largest for output in outputs):
        msg = f"it printed more than {largest // 1024**2} MiB"
        raise OverflowError(msg)
    if late:
        msg = f"it ran longer than {seconds:g} seconds"
        raise TimeoutError(msg)
    return process.returncode, bytes(outputs[0]), bytes(outputs[1])


def _read(stream: IO[bytes], into: bytearray, largest: int, process: subprocess.Popen[bytes]) -> None:
    with stream:
        while len(into) <= largest and (part := stream.read1(65536)):  # type: ignore[attr-defined]
            into += part
    if len(into) > largest:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and those that it started."""
    with suppress(OSError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


def _table(items: Mapping[str, Any], place: Place) -> Table:
    places = dict.fromkeys(items, place)
    return Table(items, place, places, places)


def _data(value: Any, place: Place) -> Any:
    if isinstance(value, Mapping):
        return _table({str(key): _data(item, place) for key, item in value.items()}, place)
    if isinstance(value, list):
        return Rows([_data(item, place) for item in value], place)
    return Text(value, place) if isinstance(value, str) else value
