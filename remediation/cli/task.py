"""A task of the command line: a frozen dataclass of options, and a function from them to an exit code.

invoke's parser asks a task for its arguments; here they are read off the dataclass, so that an option is declared once,
with its help and short flag, and the function gets one typed object. Exit codes and Ctrl-C are ours: invoke ignores what
a task returns and answers 1 to an interrupt.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import platform
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task

from remediation import __version__
from remediation.cli.stdio import current_masker, safe_output
from remediation.model.errors import RemediationError, UsageError
from remediation.model.plugin import PluginCommand
from remediation.model.signals import terminating

_log = logging.getLogger(__name__)

INTERRUPTED = 130
STDERR = 2

REFUSED = ("echo", "pty", "hide", "warn")
"""Settings of invoke's own runner; no command here goes through it, so they would silently do nothing."""

Body = Callable[[Any], int]
BodyFunction = TypeVar("BodyFunction", bound=Callable[[Any], int])


class OptionTask(Task[Any]):
    """An invoke task whose arguments are the fields of a dataclass."""

    def __init__(self, body: Callable[..., None], options: type[Any], name: str) -> None:
        super().__init__(body, name=name, positional=[], auto_shortflags=False)
        self.options = options

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return invoke's arguments, the positional ones first as its parser wants them."""
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


def command_task(options: type[Any], *, name: str = "", changes: bool = False) -> Callable[[Body], OptionTask]:
    """Make a task of a function that takes the options and returns an exit code (`PluginCommand`)."""
    return lambda function: task(PluginCommand(name or function.__name__.replace("_", "-"), options, function, changes))


def task(declared: PluginCommand) -> OptionTask:
    """Make a task of a declared command."""

    def body(context: Context, **values: Any) -> None:
        code = guarded(lambda: _logged(declared, _read(declared.options, context, values, changes=declared.changes)))
        if code:
            raise Exit(code=code)

    body.__doc__ = declared.run.__doc__
    body.__name__ = declared.run.__name__
    body.__module__ = declared.run.__module__
    return OptionTask(body, declared.options, declared.name)


def _logged(declared: PluginCommand, options: Any) -> int:
    """Run a command, with a log where its options name a file."""
    name, level = getattr(options, "log_file", None), getattr(options, "log_level", None)
    if name is None and level is None:
        return declared.run(options)
    from remediation.cli.log_file import log_to

    with log_to(name, level, current_masker()):
        begun = time.monotonic()
        _log.info("remediate %s %s on Python %s, %s", __version__, declared.name, platform.python_version(), platform.platform())
        try:
            code = declared.run(options)
        except BaseException as error:
            # a RemediationError is a sentence for the user; anything else is a fault of ours and needs its traceback
            _log.error("%s: %s", type(error).__name__, error, exc_info=not isinstance(error, RemediationError))
            raise
        _log.info("%s ended with exit code %d after %.3f s", declared.name, code, time.monotonic() - begun)
        return code


def guarded(work: Callable[[], int]) -> int:
    """Run `work` and return its exit code; an error of ours is told in its sentence, an interrupt is 130."""
    open_streams()
    speak_utf8()
    with safe_output():
        try:
            with terminating():
                code = work()
            sys.stdout.flush()
        except RemediationError as error:
            sys.stdout.flush()
            sys.stderr.write(f"{current_masker().error(error)}\n")
            return error.exit_code
        except KeyboardInterrupt:
            sys.stderr.write("interrupted\n")
            return INTERRUPTED
        except BrokenPipeError:
            _silence_stdout()
            return 1
        except OSError as error:
            named = f"{error.filename}: " if error.filename else ""
            sys.stderr.write(f"{named}{error.strerror or error}\n  next: look at that file or folder and its rights\n")
            return 1
        except Exception as error:  # noqa: BLE001 - the last barrier: a sentence, and a traceback file
            sys.stderr.write(f"{_internal(error)}\n")
            return 1
        return code


def _internal(error: Exception) -> RemediationError:
    """Keep the traceback of an exception in our own code, and return the error to show."""
    from remediation.engine.internal_errors import CrashLog, InternalError, errors_folder

    return InternalError(CrashLog(errors_folder(), current_masker())("remediate", error))


def open_streams() -> None:
    """Put the null device in the place of standard streams that were closed: a file must not get their numbers."""
    number = os.open(os.devnull, os.O_RDWR)
    while number <= STDERR:
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - open as long as the process


def end_now(code: int) -> NoReturn:
    """End the process without waiting for the threads that still work on hosts."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def speak_utf8() -> None:
    """Write UTF-8 whatever the locale or the Windows code page says, when the output is not a console."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and (stream.encoding or "").lower().replace("-", "") != "utf8":
            reconfigure(encoding="utf-8", errors="replace")


def _silence_stdout() -> None:
    """Leave nothing that the interpreter would try to flush into the closed pipe at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _read(options: type[Any], context: Context, values: dict[str, Any], *, changes: bool) -> Any:
    for setting in REFUSED:
        if context.config.run[setting]:
            flag = "--warn-only" if setting == "warn" else f"--{setting}"
            raise UsageError(f"invoke's {flag} has no meaning here", next_step="leave it out")
    for name, value in values.items():
        _refuse_swallowed(name, value)
    read = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    # invoke's own --dry, -R and INVOKE_RUN_DRY must never run for real (design 8)
    if context.config.run.dry:
        if "check" in read:
            read["check"] = True
        elif changes or read.get("probe_seconds"):
            raise UsageError(
                "this task has no rehearsal, so --dry (or INVOKE_RUN_DRY) refuses it; nothing was done",
                next_step="run it without --dry",
            )
    return options(**read)


def _refuse_swallowed(name: str, value: object) -> None:
    """Invoke hands an option the next word whatever it is; a word with a dash in front was meant as another option."""
    given = value if isinstance(value, list) else [value]
    for item in given:
        if isinstance(item, str) and item.startswith("-") and item != "-":
            flag = name.replace("_", "-")
            raise UsageError(
                f"--{flag} took {item!r} as its value", next_step=f"give --{flag} its value, or put {item} in front of it"
            )
