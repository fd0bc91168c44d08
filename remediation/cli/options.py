"""The options of the tasks, each declared once: help, short flag, and whether it may be repeated.

The classes are neither frozen nor comparable: what dataclasses would write for that, for all tasks, costs a twentieth of every start.
"""

from __future__ import annotations

from dataclasses import dataclass

from remediation.cli.command import option, required


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Output:
    """How a task answers."""

    json: bool = option("Print JSON: one document for a query, JSON Lines for a run.", default=False)
    verbose: bool = option("Say more: every quote, every rung, every task.", default=False, short="v")


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Hosts(Output):
    """Which hosts, with which variables."""

    inventory: tuple[str, ...] = option(
        "Inventory file, or the name of a shipped one (lab, local). May be repeated.", default=(), short="i"
    )
    limit: str | None = option("Only these hosts: a name, a group, or an Ansible pattern.", short="l")
    extra_vars: tuple[str, ...] = option(
        "Variable NAME=VALUE, @FILE.yml or a YAML mapping. May be repeated.", default=(), short="e"
    )
    vault_password_file: tuple[str, ...] = option(
        "Where an Ansible Vault's password is: a file, a program, or prompt; ID@ before it names it. May be repeated.", default=()
    )


RECORD = "Also write what hosts were asked and answered to this file, without names and secrets."


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Recorded(Hosts):
    """Hosts whose answers may be recorded."""

    record: str | None = option(RECORD)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Run(Recorded):
    """How a run may change hosts."""

    check: bool = option("Change nothing; say what would be done.", default=False, short="C")
    diff: bool = option("Show before and after of each change.", default=False, short="D")
    max_risk: str | None = option("Highest risk that may be taken without asking: safe, disruptive or destructive.")
    last_resort: bool = option("Also try the rungs that are marked as last resort.", default=False)
    yes_destroy: tuple[str, ...] = option("Allow deleting data on this host. May be repeated.", default=())
    forks: str | None = option("How many hosts are worked on at a time (default 50).", short="f")
    wait: str | None = option("Wait this long for another run on a host to end, such as 90 or 5m.")
    report: str | None = option("Also write the run to this file: .html, .json or .xml (JUnit).")
    out: str | None = option("With --check: save what would be done to this file, for apply.")


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class FixOffload(Run):
    """A repair."""


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Following(Output):
    """How what follows a run may change hosts."""

    extra_vars: tuple[str, ...] = option(
        "Variable NAME=VALUE as for the run itself; secrets have to be given again. May be repeated.", default=(), short="e"
    )
    diff: bool = option("Show before and after of each change.", default=False)
    max_risk: str | None = option("Highest risk that may be taken without asking: safe, disruptive or destructive.")
    yes_destroy: tuple[str, ...] = option("Allow deleting data on this host. May be repeated.", default=())
    wait: str | None = option("Wait this long for another run on a host to end, such as 90 or 5m.")
    report: str | None = option("Also write the run to this file: .html, .json or .xml (JUnit).")
    record: str | None = option(RECORD)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Apply(Following):
    """Which plan, and which of its changes."""

    plan: str = required("A plan that --check --out saved.")
    only: tuple[str, ...] = option("Only the change of this number in the plan. May be repeated.", default=())


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Undo(Following):
    """Which run is taken back, and how much of it."""

    run: str = required("The run's id, or the beginning of it.")
    check: bool = option("Change nothing; say what would be taken back.", default=False)
    limit: str | None = option("Only on these hosts: a name, a group, or an Ansible pattern.", short="l")
    task: str | None = option("Only what the task of this name changed.")


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Resume(Following):
    """Which run goes on."""

    run: str = required("The run's id, or the beginning of it.")
    check: bool = option("Refused: what is left of a run cannot be rehearsed alone.", default=False)
    limit: str | None = option("Only on these hosts: a name, a group, or an Ansible pattern.", short="l")
    repeat: bool = option("Also run a command again that was cut off in flight.", default=False)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Play(Run):
    """A run of one's own playbook."""

    playbook: str = required("A playbook: a file, or the name of a shipped one.")
    tags: tuple[str, ...] = option("Only tasks with this tag. May be repeated.", default=(), short="t")
    skip_tags: tuple[str, ...] = option("No tasks with this tag. May be repeated.", default=())
    start_at_task: str | None = option("Begin at the task of this name.")
    list_hosts: bool = option("List the hosts of each play, and run nothing.", default=False)
    list_tasks: bool = option("List the tasks that the tags choose, and run nothing.", default=False)
    list_tags: bool = option("List the tags of each play, and run nothing.", default=False)
    syntax_check: bool = option("Read the playbook and tell every mistake in it, and run nothing.", default=False)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Diagnose(Recorded):
    """What to diagnose: hosts, or evidence somebody sent."""

    evidence: tuple[str, ...] = option(
        "A log, an incident file, a folder, a.log,b.txt or - (stdin): one incident each. May be repeated.", default=()
    )
    out: str | None = option("Also save what was read, without names, tokens and home paths, for --evidence.")
    fail_on: tuple[str, ...] = option("End with 2 when this cause is found. May be repeated.", default=())
    probe_seconds: str | None = option(
        "Also ask the loaded model for at most 8 tokens or this long, such as 20, with the context it has; it loads nothing."
    )


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Verify(Recorded):
    """How long to look."""

    after: str | None = option("Keep watching for this long, such as 10m, and name what regressed.")
    survives_restart: bool = option("Also restart Ollama, load the model again, and say what was lost.", default=False)
    max_risk: str | None = option("Highest risk that may be taken without asking: a restart is disruptive.")
    report: str | None = option("Also write the run to this file: .html, .json or .xml (JUnit).")


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Lint(Hosts):
    """Which playbook to read."""

    playbook: str = required("A playbook: a file, or the name of a shipped one.")


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Schema:
    """Where the schema goes."""

    out: str | None = option("Write it to this file.")


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class CheckHost(Recorded):
    """Which hosts to look at."""


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Monitor(Hosts):
    """How often to look, and for how long."""

    every: str | None = option("Time between two looks, such as 2s (the default).")
    for_: str | None = option("End after this time, such as 10m (default: until Ctrl-C).")


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Listing(Hosts):
    """How the hosts are listed."""

    graph: bool = option("Show the groups as a tree.", default=False)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class OneHost(Hosts):
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


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class OneRun(Output):
    """A query about one run."""

    run: str = required("The run's id, or the beginning of it.")
    diff: bool = option("Show before and after of each change.", default=False)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class LabStart:
    """How large a lab."""

    hosts: int = option("How many Windows hosts there shall be at least (1 to 250).", default=1)


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class LabFault:
    """Which fault, where."""

    host: str = required("The lab's machine.")
    fault: str = required("The fault's name.")


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class LabMachines(Output):
    """A query about the lab."""


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Nothing:
    """No options."""
