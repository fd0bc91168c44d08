"""The options of the tasks, each declared once: help, short flag, and whether it may be repeated.

The classes are neither frozen nor comparable: generating those methods for all tasks takes a twentieth of every start.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from remediation.model.errors import UsageError
from remediation.model.plugin import option, required


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Output:
    """The output format of a task."""

    json: bool = option("Print JSON: one document for a query, JSON Lines for a run.", default=False)
    verbose: bool = option("Print more detail: every quote, every rung, every task.", default=False, short="v")


LANG = "Language of what people read: en or es (default: the locale). JSON, logs and journals are always English."


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class HostOptions(Output):
    """The hosts, and their variables."""

    inventory: tuple[str, ...] = option(
        "Inventory file, or the name of a shipped one (lab, local). May be repeated.", default=(), short="i"
    )
    limit: str | None = option("Only these hosts: a name, a group, or an Ansible pattern.", short="l")
    extra_vars: tuple[str, ...] = option(
        "Variable NAME=VALUE, @FILE.yml or a YAML mapping. May be repeated.", default=(), short="e"
    )
    vault_password_file: tuple[str, ...] = option(
        "Source of an Ansible Vault password: a file, a program, or prompt; prefix it with ID@ for a vault ID. May be repeated.",
        default=(),
    )


RECORD = "Record all host I/O to this file, anonymized."


LOG_FILE = "Append a debug log to this file: each call to a host with its duration, and what was decided, without secrets."
LOG_LEVEL = "Least level that --log-file writes: debug (the default), info, warning or error."


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class LogOptions(HostOptions):
    """Hosts that are connected to, with an optional log."""

    log_file: str | None = option(LOG_FILE)
    log_level: str | None = option(LOG_LEVEL)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class RecordOptions(LogOptions):
    """Hosts whose I/O can be recorded."""

    record: str | None = option(RECORD)


EXECUTOR = "Run the hosts on the workers of a Dask cluster: dask://HOST:PORT, or tls://HOST:PORT (extra dask; default local)."
PLAINTEXT = "Send secrets to a Dask cluster without TLS if it is on this machine alone."


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Spread(RecordOptions):
    """Hosts that can be spread over the workers of a cluster."""

    executor: str | None = option(EXECUTOR)
    executor_plaintext: bool = option(PLAINTEXT, default=False)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class PlaybookOptions(Spread):
    """How a run may change hosts."""

    check: bool = option("Change nothing; show what would be changed.", default=False, short="C")
    diff: bool = option("Show the difference that each change makes.", default=False, short="D")
    max_risk: str | None = option("Highest risk allowed without asking: safe, disruptive or destructive.")
    last_resort: bool = option("Also try the rungs that are marked as last resort.", default=False)
    yes_destroy: tuple[str, ...] = option("Allow deleting data on this host. May be repeated.", default=())
    forks: str | None = option("Number of hosts to process in parallel (default 50).", short="f")
    wait: str | None = option("Wait this long for another run on a host to end, such as 90 or 5m.")
    report: str | None = option("Also write the run to this file: .html, .json or .xml (JUnit).")
    out: str | None = option("With --check: save the plan to this file, for apply.")
    lang: str | None = option(LANG)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class FixOffload(PlaybookOptions):
    """Options of a repair."""


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class FollowUpOptions(Output):
    """How a command that follows a run may change hosts."""

    extra_vars: tuple[str, ...] = option(
        "Variable NAME=VALUE as for the run itself; secrets must be given again. May be repeated.", default=(), short="e"
    )
    diff: bool = option("Show the difference that each change makes.", default=False)
    max_risk: str | None = option("Highest risk allowed without asking: safe, disruptive or destructive.")
    yes_destroy: tuple[str, ...] = option("Allow deleting data on this host. May be repeated.", default=())
    wait: str | None = option("Wait this long for another run on a host to end, such as 90 or 5m.")
    report: str | None = option("Also write the run to this file: .html, .json or .xml (JUnit).")
    record: str | None = option(RECORD)
    log_file: str | None = option(LOG_FILE)
    log_level: str | None = option(LOG_LEVEL)
    lang: str | None = option(LANG)
    executor: str | None = option("Where to run the hosts, if not as the run itself: local, dask://HOST:PORT or tls://HOST:PORT.")
    executor_plaintext: bool = option(PLAINTEXT, default=False)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Apply(FollowUpOptions):
    """Which plan to apply, and which of its changes."""

    plan: str = required("A plan saved by --check --out.")
    only: tuple[str, ...] = option("Only the change with this number in the plan. May be repeated.", default=())


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Undo(FollowUpOptions):
    """Which run to undo, and how much of it."""

    run: str = required("The run's id, or the beginning of it.")
    check: bool = option("Change nothing; show what would be undone.", default=False)
    limit: str | None = option("Only on these hosts: a name, a group, or an Ansible pattern.", short="l")
    task: str | None = option("Only changes of the task with this name.")


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Resume(FollowUpOptions):
    """Which run to resume."""

    run: str = required("The run's id, or the beginning of it.")
    check: bool = option("Not supported: run the playbook with --check instead.", default=False)
    limit: str | None = option("Only on these hosts: a name, a group, or an Ansible pattern.", short="l")
    repeat: bool = option("Also repeat a command that was in flight when the run was interrupted.", default=False)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class PlayOptions(PlaybookOptions):
    """A run of the user's own playbook."""

    playbook: str = required("A playbook: a file, or the name of a shipped one.")
    also: tuple[str, ...] = option("Another playbook to run after it; the same as naming several. May be repeated.", default=())
    tags: tuple[str, ...] = option("Only tasks with this tag. May be repeated.", default=(), short="t")
    skip_tags: tuple[str, ...] = option("No tasks with this tag. May be repeated.", default=())
    start_at_task: str | None = option("Start at the task with this name.")
    step: bool = option("Ask before each task whether to run it.", default=False)
    force_handlers: bool = option("Run handlers even if a task failed.", default=False)
    flush_cache: bool = option("Accepted for compatibility: facts are not kept between runs.", default=False)
    list_hosts: bool = option("List the hosts of each play without running it.", default=False)
    list_tasks: bool = option("List the tasks that the tags select without running them.", default=False)
    list_tags: bool = option("List the tags of each play without running it.", default=False)
    syntax_check: bool = option("Report every error in the playbook without running it.", default=False)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Diagnose(Spread):
    """What to diagnose: hosts, or collected evidence."""

    evidence: tuple[str, ...] = option(
        "A log, an incident file, a folder, a bundle (.zip), a.log,b.txt or - (stdin): one incident each. May be repeated.",
        default=(),
    )
    out: str | None = option("Save the readings for --evidence, without names, tokens and home paths.")
    fail_on: tuple[str, ...] = option("Exit with code 2 if this cause is found. May be repeated.", default=())
    probe_seconds: str | None = option(
        "Also request at most 8 tokens from the loaded model, within this time, such as 20; loads nothing."
    )
    lang: str | None = option(LANG)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Verify(Spread):
    """How long to watch."""

    after: str | None = option("Keep watching for this long, such as 10m, and name what regressed.")
    survives_restart: bool = option("Also restart Ollama, reload the model, and report what was lost.", default=False)
    max_risk: str | None = option("Highest risk allowed without asking: a restart is disruptive.")
    report: str | None = option("Also write the run to this file: .html, .json or .xml (JUnit).")
    lang: str | None = option(LANG)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Lint(HostOptions):
    """Which playbooks to check."""

    playbook: str = required("A playbook: a file, or the name of a shipped one.")
    also: tuple[str, ...] = option("Another playbook to check; the same as naming several. May be repeated.", default=())
    sarif: str | None = option("Also write the results to this file as SARIF, for GitHub's code scanning.")
    lang: str | None = option(LANG)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Schema:
    """Which schema, and where to write it."""

    of: str = option("What it describes: playbook (the default) or inventory.", default="playbook")
    out: str | None = option("Write it to this file.")


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class CheckHost(RecordOptions):
    """Which hosts to check."""

    self_test: str | None = option(
        "Try on this Windows host what docs/windows.md calls unproven, and print a report to send.", value="HOST"
    )


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Doctor(LogOptions):
    """Which inventory to check."""


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Completion:
    """For which shell."""

    shell: str = required("The shell: bash, zsh, fish or powershell.")


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Init:
    """Which project to write."""

    folder: str = required("The project's folder; it may exist.")
    connection: str | None = option("How the hosts are reached: local (the default), ssh or winrm.")
    host: tuple[str, ...] = option("A host of the inventory, such as dev-01.example. May be repeated.", default=())


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Monitor(LogOptions):
    """How often to take samples, and for how long."""

    every: str | None = option("Time between two samples, such as 2s (default: 2s, for more than 10 hosts 0.2s each).")
    for_: str | None = option("Stop after this time, such as 10m (default: until Ctrl-C).")
    record: str | None = option("Also write the samples to this file as JSON Lines, for remediate report.")
    tokens: str | None = option(
        "Also measure tokens per second this often, such as 30s: requests 8 tokens from the loaded model; loads nothing."
    )
    lang: str | None = option(LANG)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class ListOptions(HostOptions):
    """How to list the hosts."""

    graph: bool = option("Show the groups as a tree.", default=False)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class OneHost(HostOptions):
    """A query about one host."""

    host: str = required("The host's name in the inventory.")


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Steps(Output):
    """Which step to describe."""

    name: str | None = option("Describe this step with its parameters.")


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Explain(Output):
    """Which mechanism to explain."""

    mechanism: str = required("The mechanism's name, as a diagnosis prints it.")
    lang: str | None = option(LANG)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class OneRun(Output):
    """A query about one run."""

    run: str = required("The run's id, or the beginning of it.")
    diff: bool = option("Show the difference that each change makes.", default=False)
    lang: str | None = option(LANG)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class WatchOptions(LogOptions):
    """How often to check, and what may be repaired when."""

    every: str | None = option("Time between two checks, such as 60s (default 5m).")
    for_: str | None = option("Stop after this time, such as 8h (default: until Ctrl-C).")
    once: bool = option("Check once, repair what is permitted, and exit.", default=False)
    max_risk: str | None = option("Highest risk allowed: safe (the default), disruptive or destructive.")
    cool_down: str | None = option("Time before a cause is repaired again on a host (default 1h).")
    per_hour: int = option("Most repairs within an hour, on all hosts together.", default=10)
    quiet: tuple[str, ...] = option("No repairs at this time of day, such as 22:00-06:00. May be repeated.", default=())
    notify: str | None = option("Post each event to this address; or the environment variable that holds the address.")
    notify_as: str | None = option("Form of the notification: json (the default), slack, teams or ntfy.")
    metrics: str | None = option("Serve metrics for Prometheus at ADDRESS:PORT, such as 127.0.0.1:9105 (extra metrics).")
    name: str | None = option("Name of this watch, for its memory and its service (default remediate-watch).")
    install: bool = option("Install and start it as a service: a systemd unit with a timer, or a scheduled task.", default=False)
    uninstall: bool = option("Stop and remove the service.", default=False)
    lang: str | None = option(LANG)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class BundleOptions:
    """Which run to pack, and where."""

    run: str = required("The run's id, or the beginning of it.")
    out: str | None = option("Write to this file (default: remediation-RUN.zip).")


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class ReportSource:
    """What to report on, and where to write it."""

    source: str = required("A run's id or the beginning of it, or a file of JSON Lines.")
    out: str | None = option(
        "Write to this file: .html, or for a run also .json or .xml (default: a page named after the source)."
    )
    lang: str | None = option(LANG)


LONGEST_HOURS = 24 * 366
"""Highest time of an option. Python's functions that wait do not accept every number."""
UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(option: str, text: str | None, default: float = 0.0) -> float:
    """Return `text` as seconds, `default` for None. Raises `UsageError` naming `option`."""
    if text is None:
        return default
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip().lower())
    if found is None:
        raise UsageError(f"{option}: expected a time such as 90, 90s, 10m or 2h, got {text!r}", next_step=f"such as {option} 5m")
    value = float(found[1]) * UNITS[found[2]]
    if value > LONGEST_HOURS * UNITS["h"]:
        raise UsageError(
            f"{option}: expected a time of {LONGEST_HOURS}h at most, got {text!r:.40}", next_step=f"such as {option} 24h"
        )
    return value
