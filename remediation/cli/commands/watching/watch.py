"""``watch``: checks hosts at an interval and repairs what is permitted, within limits."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from remediation.cli.options import WatchOptions
from remediation.cli.task import command_task
from remediation.model.errors import UsageError
from remediation.model.signals import Terminated
from remediation.model.translation import gettext, ngettext, translatable, translated

if TYPE_CHECKING:
    from remediation.cli.watch.memory import WatchMemory
    from remediation.cli.watch.notify import Webhook

EVERY = 300.0
LEAST = 1.0
NAME = "remediate-watch"
EVENTS = (
    translatable("repairing"), translatable("repaired"), translatable("failed"), translatable("flapping"), translatable("waiting"),
    translatable("unreachable"), translatable("unknown"), translatable("recovered"),
)  # fmt: skip
"""The names of events, which are translated where they are printed."""
_KIND = 12
"""Columns of an event's name."""

_NARROW = 50
"""Columns below which a terminal wraps the text itself."""

_ONLY_ONCE = frozenset({"install", "uninstall", "once", "every", "for_"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,60}")


@command_task(
    WatchOptions,
    changes=True,
    examples=(
        "remediate watch --inventory fleet.yml --every 5m --quiet 22:00-06:00 --notify WEBHOOK_URL --notify-as slack",
        "remediate watch --inventory fleet.yml --max-risk disruptive --install",
    ),
)
def watch(options: WatchOptions) -> int:
    """Check hosts at an interval and repair what --max-risk permits, until Ctrl-C. Causes that come back are reported, not repaired forever."""
    from remediation.cli.options import seconds
    from remediation.cli.watch.notify import Webhook

    name = options.name or NAME
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--name: expected letters, digits, dots and hyphens, got {name!r}", next_step="start it with a letter or a digit"
        )
    every = max(LEAST, seconds("--every", options.every, EVERY))
    if options.uninstall:
        from remediation.cli.watch.install import uninstall_service

        return _say(uninstall_service(name))
    if options.install:
        return _install(options, name, every)
    hook = Webhook.of(options.notify, options.notify_as)
    return _watch(options, name, every, hook)


def _watch(options: WatchOptions, name: str, every: float, hook: Webhook | None) -> int:
    from remediation.cli.context import open_session
    from remediation.cli.options import seconds
    from remediation.cli.runner import RunOptions, policy_of
    from remediation.cli.watch.check import HostChecks
    from remediation.cli.watch.loop import Watch
    from remediation.cli.watch.memory import WatchMemory, exclusive, memory_file
    from remediation.cli.watch.rules import QuietHours, RepairRules

    rules = RepairRules(
        cool_down=seconds("--cool-down", options.cool_down, 3600.0), per_hour=options.per_hour,
        quiet=tuple(QuietHours.parse(text) for text in options.quiet),
    )  # fmt: skip
    run_options = RunOptions.of(options)
    policy_of(run_options)  # refuses a wrong --max-risk before a host is contacted
    until = time.monotonic() + seconds("--for", options.for_, float("inf"))
    file = memory_file(name)
    with ExitStack() as stack:
        stack.enter_context(exclusive(file))
        hosts = stack.enter_context(open_session(options))
        if hook is not None:
            hosts.masker.add(hook.url)
        metrics = None
        if options.metrics is not None:
            from remediation.cli.watch.metrics import WatchMetrics, listening_address

            address = listening_address(options.metrics)
            metrics = WatchMetrics()
            metrics.serve(*address)
        memory = WatchMemory.load(file)
        watching = Watch(hosts, run_options, rules, memory, _printer(options, hook), metrics)
        checks = HostChecks(hosts, memory=metrics is not None)
        stack.callback(hosts.looks.end)
        _begin(options, len(hosts.selected()), every)
        try:
            while True:
                begun = time.monotonic()
                try:
                    code = watching.round(checks)
                finally:
                    _save(memory, file)
                if options.once or watching.interrupted or begun + every >= until:
                    return code
                _sleep(begun + every - time.monotonic())
        except Terminated:
            raise
        except KeyboardInterrupt:
            return 0  # Ctrl-C is the normal way to stop


def _save(memory: WatchMemory, file: Path) -> None:
    try:
        memory.save(file, time.time())
    except OSError as error:
        text = gettext(
            "{file} cannot be written, so a restarted watch knows no earlier repairs: {reason}",
            file=file, reason=error.strerror or error,
        )  # fmt: skip
        sys.stderr.write(f"{gettext('warning')}: {text}\n")


def _sleep(seconds: float) -> None:
    """Sleep in short pieces: on Windows a signal does not interrupt a long one."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(0.5, left))


def _begin(options: WatchOptions, count: int, every: float) -> None:
    from remediation.report.formatting import duration

    if not options.json and not options.once:
        began = ngettext(
            "watching {count} host every {time}; Ctrl-C ends", "watching {count} hosts every {time}; Ctrl-C ends", count,
            time=duration(every),
        )  # fmt: skip
        sys.stdout.write(f"{began}\n")
        sys.stdout.flush()


def _printer(options: WatchOptions, hook: Webhook | None) -> Callable[[Mapping[str, Any]], None]:
    from remediation.model.text.visible import visible_json

    def print_event(event: Mapping[str, Any]) -> None:
        if options.json:
            sys.stdout.write(f"{visible_json(event)}\n")
        else:
            sys.stdout.write(f"{event_text(event, shutil.get_terminal_size().columns if sys.stdout.isatty() else None)}\n")
        sys.stdout.flush()
        if hook is not None and event["event"] not in {"repairing", "waiting"}:
            wrong = hook.send(event)
            if wrong:
                sys.stderr.write(f"{gettext('warning')}: {translated(wrong)}\n")

    return print_event


def event_text(event: Mapping[str, Any], width: int | None = None) -> str:
    """Return an event as it is printed, in the language; in a terminal of `width` columns the text keeps its own column."""
    stamp = datetime.fromtimestamp(event["time"]).astimezone().strftime("%H:%M:%S")
    line = f"{stamp}  {gettext(event['event']):{_KIND}}  {translated(event['text'])}"
    indent = " " * (len(stamp) + _KIND + 4)
    if width is None or len(line) <= width or width < _NARROW:
        return line
    return "\n".join(wrap(line, width - 1, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False))


def _install(options: WatchOptions, name: str, every: float) -> int:
    """Install the service after the same checks as a round, so that it does not fail unseen."""
    from remediation.cli.context import open_session
    from remediation.cli.watch.install import WatchService, install_service
    from remediation.cli.watch.notify import Webhook

    if options.notify and "://" in options.notify:
        raise UsageError(
            "--install does not store the address of --notify",
            next_step="put NAME=address into .watch.env here, and give --notify NAME",
        )
    if options.notify is None:
        Webhook.of(None, options.notify_as)
    with open_session(options) as hosts:
        hosts.selected()
    words = ["watch", "--name", name, *command_line_of(options), *(["--every", f"{every:g}s"] if options.metrics else ["--once"])]
    return _say(install_service(WatchService(name, words, every, stays=options.metrics is not None)))


def command_line_of(options: WatchOptions) -> list[str]:
    """Return the command line that gives the same options to the service."""
    import dataclasses

    found: list[str] = []
    for item in dataclasses.fields(options):
        value = getattr(options, item.name)
        if item.name in _ONLY_ONCE or item.name == "name" or value in (None, False, ()) or value == item.default:
            continue
        flag = f"--{item.name.rstrip('_').replace('_', '-')}"
        found += (
            [flag]
            if value is True
            else [word for each in (value if isinstance(value, tuple) else (value,)) for word in (flag, str(each))]
        )
    return found


def _say(lines: list[str]) -> int:
    sys.stdout.writelines(f"{translated(line)}\n" for line in lines)
    return 0
