"""``--log-file``: writes the log records of this package to a private file, without secrets."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TextIO

from remediation.cli.outputs import writable
from remediation.model.errors import UsageError
from remediation.model.secrets.masking import Masker, no_log_is_active
from remediation.model.text.visible import visible, visible_line

LEVELS = ("debug", "info", "warning", "error")
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class SafeRecords(logging.Filter):
    """Formats each record, masks its secrets and spells out its control characters.

    A message is one line, so that no host can write a line that looks like another record. A traceback keeps its lines.
    Records of a task with ``no_log`` are censored, except those marked with ``extra=NO_VALUES``.
    """

    def __init__(self, masker: Masker) -> None:
        super().__init__()
        self._masker = masker

    def filter(self, record: logging.LogRecord) -> bool:
        """Make `record` safe to write. Every record passes."""
        if no_log_is_active() and not getattr(record, "no_values", False):
            record.msg, record.args, record.exc_info, record.exc_text = "hidden: no_log is set for this task", (), None, None
        record.msg, record.args = visible_line(self._masker.text(record.getMessage())), ()
        if record.exc_info:
            record.exc_text = record.exc_text or logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        record.exc_text = visible(self._masker.text(record.exc_text)) if record.exc_text else None
        record.stack_info = visible(self._masker.text(record.stack_info)) if record.stack_info else None
        return True


class _Lines(logging.Formatter):
    """Stamps each record with the local time, milliseconds and the offset from UTC."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Return the time of `record`."""
        return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


class _LogHandler(logging.StreamHandler[TextIO]):
    """Writes records to the file. The first failure (a full disk) is reported on standard error and ends the log, not the command."""

    _failed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        if not self._failed:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Report the failure once."""
        self._failed = True
        sys.stderr.write(f"warning: the log file cannot be written any more: {sys.exc_info()[1]}\n")


@contextmanager
def log_to(name: str | None, level: str | None, masker: Masker) -> Iterator[None]:
    """Write records of at least `level` (default ``debug``) to the file `name` while the context is open.

    Raises `UsageError` for a file that cannot be written and for a level that does not exist.
    """
    if level is not None and level.lower() not in LEVELS:
        raise UsageError(f"--log-level cannot be {level!r}", next_step=f"use one of {', '.join(LEVELS)}")
    if name is None:
        if level is not None:
            raise UsageError("--log-level has no effect without --log-file", next_step="give --log-file FILE too")
        yield
        return
    file = _open_log(name)
    handler = _LogHandler(file)
    handler.setFormatter(_Lines(FORMAT))
    handler.addFilter(SafeRecords(masker))
    package = logging.getLogger("remediation")
    before = package.level
    package.setLevel((level or LEVELS[0]).upper())
    package.addHandler(handler)
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.setLevel(before)
        with suppress(OSError):  # a full disk, which the handler has reported
            file.close()


def _open_log(name: str) -> TextIO:
    """Open the file for appending. A regular file gets the mode 0600; a link is refused."""
    path = writable("--log-file", name)
    try:
        if path.exists() and not path.is_file():  # /dev/stderr, a pipe
            return path.open("w", encoding="utf-8", errors="backslashreplace")
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        number = os.open(path, flags, 0o600)
        if sys.platform != "win32":
            os.fchmod(number, 0o600)
    except OSError as error:
        raise UsageError(f"--log-file {Path(name)}: {error.strerror or error}", next_step="name another file") from None
    return os.fdopen(number, "a", encoding="utf-8", errors="backslashreplace", newline="\n")
