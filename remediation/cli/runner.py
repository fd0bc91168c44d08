"""One run: reads inventory and playbook, opens the journal, attaches reports, handles Ctrl-C, and calls the engine."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from remediation import __version__
from remediation.cli.bundle.readings import EvidenceKeeper
from remediation.cli.context import Session, open_session
from remediation.cli.extra_vars import stored_extra_vars
from remediation.cli.options import HostOptions, PlaybookOptions, seconds
from remediation.cli.outputs import Listener, PlanFile, ReportFile
from remediation.cli.prompt import TerminalPrompt
from remediation.cli.report_factory import Style, reporting
from remediation.cli.resources import PLAYBOOKS, find_resource
from remediation.cli.spread.executor import cluster_of, executor_on
from remediation.engine.context import Policy, Ports
from remediation.engine.events import Emitter
from remediation.engine.exit_codes import Exit, worst
from remediation.engine.internal_errors import Crashed, CrashLog, InternalError, contain_errors
from remediation.engine.interrupt import Cancellation
from remediation.engine.journal.history import prune
from remediation.engine.journal.journal import ERRORS, Journal
from remediation.engine.play.context.run_request import FORKS, OpenHost, RunRequest, RunSummary
from remediation.engine.play.prompts import with_answers
from remediation.engine.play.runner import run_playbook
from remediation.engine.play.selection import selection
from remediation.engine.play.waves.executor import Executor
from remediation.inventory.ansible_config import ansible_config
from remediation.inventory.inventory import IMPLICIT
from remediation.model.change import Risk
from remediation.model.errors import InputError, RemediationError, UsageError
from remediation.model.event import Event
from remediation.model.event_data import RunEndData
from remediation.model.secrets.masking import Masker
from remediation.model.text.digits import is_whole
from remediation.model.translation import gettext
from remediation.model.translation.console import error_text
from remediation.playbook.load import load_playbook
from remediation.playbook.tasks import INCLUDES
from remediation.templating.yaml.loader import read_yaml, suggestion

if TYPE_CHECKING:
    from remediation.playbook.model import Playbook

_log = logging.getLogger(__name__)

Go = Callable[[RunRequest, Ports, OpenHost, Executor | None], RunSummary]
"""The engine function to call: run, resume, undo or apply."""

STDERR = 2

_OF_ONE_PROCESS = frozenset({"log_file", "log_level"})
"""Options that hold for one process: resuming and undoing a run have their own."""

TASKS = frozenset({"undo", "show", "resume"})
"""The commands that a report's last line may suggest."""


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class RunOptions(PlaybookOptions):
    """The options of a run, for every command that starts one."""

    playbook: str = ""
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    start_at_task: str | None = None
    also: tuple[str, ...] = ()
    force_handlers: bool = False
    step: bool = False

    @classmethod
    def of(cls, options: HostOptions, **more: Any) -> RunOptions:
        """Return the options of a task as those of a run."""
        known = {item.name for item in fields(cls)}
        given = {item.name: getattr(options, item.name) for item in fields(options) if item.name in known}
        return cls(**{**given, **more})


def run_playbook_task(name: str, options: RunOptions, stream: TextIO, *, then: Callable[[Session], int] | None = None) -> int:
    """Run the playbook and return the exit code. Raises `RemediationError` for errors found before any host is touched.

    On success, `then` continues with the same hosts and returns the exit code.
    """
    path = find_resource(PLAYBOOKS, options.playbook)
    files = report_listeners(options)
    with open_session(options, playbook=path) as hosts:
        code = execute_run(request_of(name, options, hosts, path), hosts, options, stream, listening=files)
        return code if code or then is None else then(hosts)


def report_listeners(options: PlaybookOptions) -> list[Listener]:
    """Return the additional listeners (the report file, the plan file), validated before any host is touched."""
    found: list[Listener] = []
    if options.report:
        found.append(ReportFile.at(options.report))
    if options.out:
        if not options.check:
            raise UsageError("--out saves the plan of --check", next_step="add --check")
        found.append(PlanFile.at(options.out))
    return found


def request_of(name: str, options: RunOptions, hosts: Session, path: Path) -> RunRequest:
    """Return the requested run with its playbook loaded. Raises `InputError`, `UsageError`."""
    if options.step and not TerminalPrompt().available:
        raise UsageError("--step needs a terminal to ask at", next_step="leave it out, or use --check")
    playbook = _playbook(options, hosts, path)
    selection(options.tags, options.skip_tags, options.start_at_task or "", playbook)
    _check_consent(options.yes_destroy, hosts, playbook)
    return RunRequest(
        command=name,
        playbook=playbook,
        inventory=hosts.inventory,
        limit=options.limit,
        extra=hosts.extra,
        policy=replace(policy_of(options), single_host=len(hosts.selected()) == 1),
        forks=forks_of(options),
        tags=options.tags,
        skip_tags=options.skip_tags,
        start_at=options.start_at_task or "",
        step=options.step,
        wait=seconds("--wait", options.wait),
        verbosity=int(options.verbose),
        sources=hosts.sources,
    )


def _playbook(options: RunOptions, hosts: Session, path: Path) -> Playbook:
    """Return the playbook with those that run after it, and with the answers to its prompts."""
    also = tuple(find_resource(PLAYBOOKS, name) for name in options.also)
    found = load_playbook(
        path, extra=hosts.extra, decrypt=hosts.decrypt, roles_path=ansible_config().paths("roles_path", os.pathsep), also=also
    )
    if options.force_handlers:
        found = replace(
            found, plays=tuple(replace(play, force_handlers=play.force_handlers is not False) for play in found.plays)
        )
    return with_answers(found, hosts.extra)


def _check_consent(named: Sequence[str], hosts: Session, playbook: Playbook) -> None:
    """Raise `UsageError` for a host of ``--yes-destroy`` that does not exist; ``add_host`` may add hosts during the run."""
    tasks = (task for play in playbook.plays for task in play.all_tasks())
    known = (*hosts.inventory.hosts, *IMPLICIT)
    unknown = next((name for name in named if name not in known), None)
    if unknown is None or any(task.action == "add_host" or task.action in INCLUDES for task in tasks):
        return
    raise UsageError(
        f"--yes-destroy: the inventory has no host {unknown!r}{suggestion(unknown, known)}",
        next_step="name one host each time; remediate hosts lists them",
    )


def policy_of(options: PlaybookOptions) -> Policy:
    """Return the user's limits from the command line. Raises `UsageError`."""
    explicit = set()
    risk = Risk.SAFE
    if options.max_risk is not None:
        try:
            risk = Risk.parse(options.max_risk)
        except ValueError as error:
            raise UsageError(
                f"--max-risk: {error}", next_step="safe permits what disturbs no one; disruptive also restarts"
            ) from None
        explicit.add("max_risk")
    return Policy(
        check=options.check,
        diff=options.diff,
        max_risk=risk,
        last_resort=options.last_resort,
        yes_destroy=frozenset(options.yes_destroy),
        interactive=TerminalPrompt().available and not options.json,
        run_started=time.time(),
        explicit=frozenset(explicit),
    )


def forks_of(options: PlaybookOptions) -> int:
    """Return the number of hosts to process in parallel. Raises `UsageError`."""
    config = ansible_config()
    forks, origin = options.forks, "--forks"
    if forks is None:
        forks, origin = config.values.get("forks"), config.origin("forks")
    if forks is None:
        return FORKS
    if not is_whole(forks) or int(forks) < 1:
        raise UsageError(
            f"{origin}: expected a number of hosts, at least 1, got {forks!r}", next_step="such as --forks 20; the default is 50"
        )
    return int(forks)


def execute_run(
    request: RunRequest,
    hosts: Session,
    options: PlaybookOptions,
    stream: TextIO,
    *,
    listening: Sequence[Listener] = (),
    journal: Journal | None = None,
    go: Go = run_playbook,
    earlier: Sequence[Event] = (),
) -> int:
    """Let the engine `go` with `request`, with journal and reports.

    `journal` is that of an earlier process of the run, if given; `earlier` are its events. A file of a report that could not be
    written makes a successful run a failed one.
    """
    code, lost = int(Exit.FAILED), list[Listener]()
    with ExitStack() as stack:
        cluster = stack.enter_context(cluster_of(options, request))
        files = journaled_files(request.playbook, hosts)  # first: the masker learns their secrets
        header = header_of(request, options, hosts.masker)
        log = journal or Journal.create(header, files, mask=hosts.masker)
        stack.callback(log.close)
        _log.info("run %s: %s %s, journal in %s", log.run, request.command, request.playbook.path, log.folder)
        crashed = CrashLog(log.folder / ERRORS, hosts.masker)
        prune()
        style = Style(json=options.json, diff=options.diff, verbose=options.verbose, tasks=TASKS)
        report = stack.enter_context(reporting(stream, style, earlier=earlier, crashed=crashed))
        for listener in listening:
            stack.callback(_write_file, listener, header, crashed, lost)
        cancelled = Cancellation()
        stack.enter_context(cancelled.on_interrupt(partial(_print_interrupt, _interrupt_text(log.run))))
        emit = Emitter([log.write, report, *listening], hosts.masker, crashed)
        prompt = TerminalPrompt(pause=report.pause)
        keeper = EvidenceKeeper(log.folder, hosts.masker.text)
        ports = Ports(
            emit=emit, prompt=prompt, diagnose=keeper.diagnose, cancelled=cancelled, wait=cancelled.wait, crashed=crashed, mask=hosts.masker,
        )  # fmt: skip
        begun = ports.clock.now()
        try:
            summary = go(replace(request, run=log.run, token=log.token), ports, hosts.open, executor_on(cluster, keeper.keep))
        except KeyboardInterrupt:
            report.cut_off()
            raise
        except RemediationError as error:  # reported by the caller; the journal must not look interrupted
            if journal is not None and isinstance(error, UsageError):
                raise  # what was refused leaves the earlier run as it ended
            data = RunEndData(run=log.run, hosts={}, exit_code=error.exit_code, seconds=ports.clock.now() - begun)
            log.write(Event("run_end", ports.clock.now(), data={**data}))
            raise
        if summary.error:  # what ended the run as a whole
            with report.pause():
                sys.stderr.write(f"{hosts.masker(summary.error)}\n")
        code = summary.exit_code
    return worst((code, Exit.FAILED)) if lost else code


def _write_file(listener: Listener, header: Mapping[str, Any], crashed: Crashed, lost: list[Listener]) -> None:
    """Let a listener write its file; an error is reported, loses only that file, and adds the listener to `lost`."""
    try:
        with contain_errors("report", crashed):
            listener.write(header)
    except InternalError as error:
        lost.append(listener)
        sys.stderr.write(f"cannot write a report: {error.message}\n")
    except RemediationError as error:
        lost.append(listener)
        sys.stderr.write(f"{error_text(error)}\n")


def header_of(request: RunRequest, options: PlaybookOptions, masker: Masker) -> Mapping[str, Any]:
    """Return what the journal and a saved plan store about a run's options, so that another process can continue it.

    Secrets are left out: ``secret_vars`` are the variables of ``-e`` that must be given again.
    """
    extra_vars, secret_vars = stored_extra_vars(options.extra_vars, masker)
    given = {item.name: getattr(options, item.name) for item in fields(options) if item.name not in _OF_ONE_PROCESS}
    header = {
        "version": __version__,
        "command": request.command,
        "started": request.policy.run_started,
        "check": request.policy.check,
        "hosts": list(request.inventory.select("all", request.limit)),
        "folder": str(Path.cwd()),
        "playbook": str(request.playbook.path),
        "asked": {**given, "extra_vars": list(extra_vars)},
        "secret_vars": list(secret_vars),
    }
    masked: Mapping[str, Any] = masker(header)
    return masked


def journaled_files(playbook: Playbook, hosts: Session) -> Mapping[str, str]:
    """Return the texts that the journal stores next to its log; their secrets are masked from now on."""
    paths = [*(playbook.files or (playbook.path,)), *(Path(source) for source in hosts.sources)]
    texts: dict[str, str] = {}
    for path in filter(Path.is_file, paths):
        texts[path.name] = path.read_text(encoding="utf-8", errors="replace")
        with suppress(InputError):  # not YAML, or already reported
            hosts.masker.learn(read_yaml(path, decrypt=hosts.decrypt))
    return texts


def _interrupt_text(run_id: str) -> str:
    text = gettext(
        "interrupted: finishing the current change, then stopping (Ctrl-C again ends at once, SIGTERM soon); "
        "continue later: remediate resume {run_id}",
        run_id=run_id,
    )
    return f"\n{text}\n"


def _print_interrupt(text: str) -> None:
    with suppress(OSError):  # the terminal was closed
        os.write(STDERR, text.encode())  # a signal handler must not use a stream that the main thread may be writing to
