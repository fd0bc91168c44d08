"""A task of the command line: a dataclass of options, and a function from them to an exit code.

invoke's parser reads a task's arguments from the dataclass, so that an option is declared once with its help and short flag,
and the function receives one typed object. Exit codes and Ctrl-C are handled here: invoke ignores a task's return value and
exits with 1 on an interrupt.
"""

from __future__ import annotations

import dataclasses
import errno
import logging
import os
import platform
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task

from remediation import __version__
from remediation.cli.stdio import current_masker, safe_output
from remediation.model.errors import RemediationError, UsageError
from remediation.model.plugin import PluginCommand
from remediation.model.signals import raise_on_signals
from remediation.model.translation import gettext
from remediation.model.translation.console import error_text, set_language_option

_log = logging.getLogger(__name__)

INTERRUPTED = 130
STDERR = 2

REFUSED = ("echo", "pty", "hide", "warn")
"""Settings of invoke's command runner, which this program does not use: accepting them would silently do nothing."""

Body = Callable[[Any], int]


class OptionTask(Task[Any]):
    """An invoke task whose arguments are the fields of a dataclass."""

    def __init__(self, body: Callable[..., None], options: type[Any], name: str, examples: tuple[str, ...] = ()) -> None:
        super().__init__(body, name=name, positional=[], auto_shortflags=False)
        self.options = options
        self.examples = examples

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return invoke's arguments, positional ones first as its parser requires."""
        fields = dataclasses.fields(self.options)
        return sorted((_argument(item) for item in fields), key=lambda argument: not argument.positional)


def _argument(item: dataclasses.Field[Any]) -> Argument:
    names = [item.name.rstrip("_").replace("_", "-")]  # ``for_`` is the option --for
    if item.metadata["short"]:
        names.append(item.metadata["short"])
    attribute = item.name if "_" in item.name else None
    text = item.metadata["help"]
    if item.metadata.get("positional"):
        return Argument(names=names, attr_name=attribute, help=text, positional=True)
    if isinstance(item.default, tuple):
        return Argument(names=names, attr_name=attribute, help=text, kind=list, default=[])
    if item.default is None:
        return Argument(names=names, attr_name=attribute, help=text)
    return Argument(names=names, attr_name=attribute, help=text, kind=type(item.default), default=item.default)


def command_task(
    options: type[Any], *, name: str = "", changes: bool = False, examples: tuple[str, ...] = ()
) -> Callable[[Body], OptionTask]:
    """Create a task from a function that takes the options and returns an exit code (`PluginCommand`)."""
    return lambda function: task(PluginCommand(name or function.__name__.replace("_", "-"), options, function, changes, examples))


def task(declared: PluginCommand) -> OptionTask:
    """Create a task from a declared command."""

    def body(context: Context, **values: Any) -> None:
        code = run_guarded(lambda: _run(declared, _read(declared.options, context, values, changes=declared.changes)))
        if code:
            raise Exit(code=code)

    body.__doc__ = declared.run.__doc__
    body.__name__ = declared.run.__name__
    body.__module__ = declared.run.__module__
    return OptionTask(body, declared.options, declared.name, declared.examples)


def _run(declared: PluginCommand, options: Any) -> int:
    """Run a command in the language that its options or the locale name, with a log where they name a file."""
    set_language_option(getattr(options, "lang", None))
    name, level = getattr(options, "log_file", None), getattr(options, "log_level", None)
    if name is None and level is None:
        return declared.run(options)
    from remediation.cli.log_file import log_to

    with log_to(name, level, current_masker()):
        begun = time.monotonic()
        _log.info("remediate %s %s on Python %s, %s", __version__, declared.name, platform.python_version(), platform.platform())
        try:
            code = declared.run(options)
        except KeyboardInterrupt:
            _log.info("%s was interrupted after %.3f s", declared.name, time.monotonic() - begun)
            raise
        except BaseException as error:
            # a RemediationError is a sentence for the user; anything else is a fault of ours and needs its traceback
            _log.error("%s: %s", type(error).__name__, error, exc_info=not isinstance(error, RemediationError))
            raise
        _log.info("%s ended with exit code %d after %.3f s", declared.name, code, time.monotonic() - begun)
        return code


def run_guarded(work: Callable[[], int]) -> int:
    """Run `work` and return its exit code. Errors are printed as one message; an interrupt is 130."""
    open_streams()
    use_utf8_streams()
    with safe_output():
        try:
            with raise_on_signals():
                code = work()
            sys.stdout.flush()
        except RemediationError as error:
            _print_last(error_text(current_masker().error(error)))
            return error.exit_code
        except KeyboardInterrupt:
            _print_last(gettext("interrupted"))
            return INTERRUPTED
        except BrokenPipeError:
            _silence(sys.stdout)
            return 1
        except OSError as error:
            _print_last(error_text(_system_error(error)))
            return 1
        except Exception as error:  # noqa: BLE001 - the last barrier: a sentence, and a traceback file
            _print_last(error_text(_internal(error)))
            return 1
        return code


def _print_last(text: str) -> None:
    """Print why the command ended. Where the terminal is closed or the disk full, the exit code says it alone."""
    _flush(sys.stdout)
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")
    _flush(sys.stderr)


def _system_error(error: OSError) -> UsageError:
    """Return the sentence for an error of the operating system, which names no file if a stream or this folder is concerned."""
    reason = error.strerror or str(error)
    if error.filename:
        return UsageError(f"{error.filename}: {reason}", next_step="check that file or folder and its permissions")
    if error.errno == errno.ENOENT:
        return UsageError(f"the working folder cannot be read: {reason}", next_step="change to a folder that exists (cd)")
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return UsageError(
            f"what this command writes cannot be written: {reason}", next_step="free space on the disk that it writes to"
        )
    return UsageError(f"an input or output failed: {reason}", next_step="check where the output of this command goes")


def _internal(error: Exception) -> RemediationError:
    """Save the traceback of an internal error, and return the error to print."""
    from remediation.engine.internal_errors import CrashLog, InternalError, errors_folder

    return InternalError(CrashLog(errors_folder(), current_masker())("remediate", error))


def open_streams() -> None:
    """Open the null device for closed standard streams, so that other files do not get their descriptors."""
    number = os.open(os.devnull, os.O_RDWR)
    while number <= STDERR:
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - stays open until the process exits


def end_now(code: int) -> NoReturn:
    """End the process without waiting for the threads that still work on hosts."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def use_utf8_streams() -> None:
    """Write UTF-8 regardless of the locale or the Windows code page, if the output is not a console."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and (stream.encoding or "").lower().replace("-", "") != "utf8":
            reconfigure(encoding="utf-8", errors="replace")


def _flush(stream: TextIO) -> None:
    """Write what a stream holds, or drop it: it would stay in the buffer, and the interpreter would try again and print a traceback."""
    try:
        stream.flush()
    except (OSError, ValueError):
        _silence(stream)


def _silence(stream: TextIO) -> None:
    """Redirect a stream, so that the interpreter does not flush into a closed pipe or terminal at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _read(options: type[Any], context: Context, values: dict[str, Any], *, changes: bool) -> Any:
    for setting in REFUSED:
        if context.config.run[setting]:
            flag = "--warn-only" if setting == "warn" else f"--{setting}"
            raise UsageError(f"invoke's option {flag} is not supported", next_step="leave it out")
    for name, value in values.items():
        _refuse_swallowed(name, value)
    read = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    # invoke's own --dry, -R and INVOKE_RUN_DRY must never change anything
    if context.config.run.dry:
        if "check" in read:
            read["check"] = True
        elif changes or read.get("probe_seconds") or read.get("tokens"):
            raise UsageError(
                "this task does not support --dry (or INVOKE_RUN_DRY); nothing was done",
                next_step="run it without --dry",
            )
    return options(**read)


def _refuse_swallowed(name: str, value: object) -> None:
    """Reject a value that looks like an option: invoke passes an option the next word even if it starts with a dash."""
    given = value if isinstance(value, list) else [value]
    for item in given:
        if isinstance(item, str) and item.startswith("-") and item != "-":
            flag = name.replace("_", "-")
            raise UsageError(
                f"--{flag} took {item!r} as its value", next_step=f"give --{flag} its value, or put {item} before it"
            )
