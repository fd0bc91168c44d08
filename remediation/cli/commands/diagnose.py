"""``diagnose``: finds causes in collected evidence or on hosts. Reads only."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remediation.cli.options import Diagnose, seconds
from remediation.cli.spread.executor import LOCAL
from remediation.cli.stdio import current_masker
from remediation.cli.task import command_task
from remediation.model.errors import CallFailed, RemediationError, UsageError
from remediation.model.secrets.masking import Masker
from remediation.model.text.visible import visible_line
from remediation.model.translation import gettext, translated
from remediation.model.translation.console import error_text

if TYPE_CHECKING:
    from remediation.cli.context import Session
    from remediation.diagnosis.evidence import Evidence
    from remediation.facets.access import HostAccess

FAILED = 2
MOST_SECONDS = 600.0
"""Upper limit of --probe-seconds: a longer answer is no useful figure, and a connection's call has a time limit."""
SURE = 0.8
"""Confidence from which a finding other than the first also counts for ``--fail-on``; the same threshold as for a ladder."""


@dataclasses.dataclass(frozen=True, slots=True)
class Incident:
    """One diagnosed host or evidence: its name, the diagnosis, what was read, and the error if it failed."""

    name: str
    found: dict[str, Any]
    evidence: Evidence | None = None
    error: RemediationError | None = None


@command_task(
    Diagnose,
    examples=(
        "remediate diagnose --evidence their-log.txt         # a log, without a host",
        "remediate diagnose --inventory fleet.yml --fail-on vram_occupied",
    ),
    name="diagnose",
)
def diagnose_hosts(options: Diagnose) -> int:
    """Find out why the model is not on the GPU, from hosts or from --evidence. Changes nothing."""
    fail_on = _causes(options.fail_on)
    if options.executor is not None and options.evidence:
        raise UsageError("--executor needs hosts and cannot be combined with --evidence", next_step="leave it out")
    if options.probe_seconds is not None and options.evidence:
        raise UsageError("--probe-seconds needs hosts and cannot be combined with --evidence", next_step="leave it out")
    incidents = _from_evidence(options) if options.evidence else _from_hosts(options)
    if options.out:
        _save(incidents, Path(options.out))
    _print(incidents, options)
    codes = {one.error.exit_code for one in incidents if one.error}
    if any(_names(one.found, fail_on) for one in incidents):
        codes.add(FAILED)
    return next((code for code in (1, 3, FAILED, 5) if code in codes), 0)


def _causes(names: tuple[str, ...]) -> frozenset[str]:
    """Return the causes of ``--fail-on``. Raises `UsageError` for an unknown name."""
    from remediation.model.finding import Cause
    from remediation.templating.yaml.loader import suggestion

    known = [str(cause) for cause in Cause]
    for name in names:
        if name not in known:
            text = f"--fail-on: unknown cause {name!r}{suggestion(name, known)}"
            raise UsageError(text, next_step=f"the causes are {', '.join(known)}")
    return frozenset(names)


def _names(found: dict[str, Any], causes: frozenset[str]) -> bool:
    """Return whether one of `causes` is the first finding, or a confident one."""
    listed = found.get("findings") or []
    return any(one["cause"] in causes for number, one in enumerate(listed) if not number or one["confidence"] >= SURE)


def _from_evidence(options: Diagnose) -> list[Incident]:
    from remediation.cli.bundle.read import evidence_in, is_bundle
    from remediation.cli.extra_vars import extra_variables
    from remediation.diagnosis.load import as_input_errors, load_evidence

    if options.inventory or options.limit:
        given = "--inventory" if options.inventory else "--limit"
        raise UsageError(f"{given} needs hosts and cannot be combined with --evidence", next_step="give one of them")
    model = extra_variables(options.extra_vars).get("model")
    found = []
    for argument in options.evidence:
        if is_bundle(argument):
            for host, text in evidence_in(Path(argument)):
                with as_input_errors(f"{argument}: {host}"):
                    evidence = _about(model, load_evidence("-", stdin=partial(str, text)))
                    found.append(_diagnose_evidence(f"{argument}: {host}", evidence))
            continue
        name = "stdin" if argument == "-" else argument
        evidence = _about(model, load_evidence(argument))
        with as_input_errors(name):
            found.append(_diagnose_evidence(name, evidence))
    return found


def _about(model: object, evidence: Evidence) -> Evidence:
    """Return the evidence with the model that ``-e model=NAME`` names as the one in question."""
    return evidence if model is None else dataclasses.replace(evidence, model=str(model))


def _from_hosts(options: Diagnose) -> list[Incident]:
    from remediation.cli.context import open_session

    probe = _probe_seconds(options.probe_seconds)
    with open_session(options) as hosts:
        if options.executor not in {None, LOCAL}:
            return _from_workers(options, hosts, probe)
        return list(hosts.each(lambda name: _diagnose_host(name, hosts, probe), _failed_incident, hosts.selected()))


def _from_workers(options: Diagnose, hosts: Session, probe: float | None) -> list[Incident]:
    """Read the hosts on the workers of a cluster."""
    from remediation.cli.context import MOST_AT_ONCE
    from remediation.cli.spread.executor import open_cluster
    from remediation.connections.settings import LOCAL_NAMES
    from remediation.engine.executors.refusals import has_secret, refuse_local
    from remediation.engine.executors.work import WorkQueue

    names = hosts.selected()
    variables = {name: hosts.variables(name) for name in names}
    for name in names:
        refuse_local(name, str(variables[name].get("ansible_connection", "local" if name in LOCAL_NAMES else "")))
    with open_cluster(options, secret=any(map(has_secret, variables.values()))) as cluster:
        queue = WorkQueue(cluster, hosts.masker, diagnose_on_worker, MOST_AT_ONCE)
        found = queue.results([(name, variables[name], probe) for name in names])
    incidents = []
    for name, result in zip(names, found, strict=True):
        if isinstance(result, RemediationError):
            incidents.append(_failed_incident(name, result))
            continue
        incident, notes = result
        for note in notes:
            hosts.warn(note)
        incidents.append(incident)
    return incidents


def diagnose_on_worker(
    mask: Masker, name: str, variables: Mapping[str, Any], probe: float | None
) -> tuple[Incident, list[str]]:  # fmt: skip
    """Read one host on a worker; return the incident and the connection's notes."""
    from remediation.cli.context import SentSession

    session = SentSession.of(variables, mask)
    try:
        return _diagnose_host(name, session, probe), session.notes
    finally:
        session.looks.end()


def _probe_seconds(text: str | None) -> float | None:
    """Return the time limit of the probe, None without one. Raises `UsageError`."""
    if text is None:
        return None
    limit = seconds("--probe-seconds", text)
    if not 0 < limit <= MOST_SECONDS:
        raise UsageError(
            f"--probe-seconds: expected a time above 0 and up to {MOST_SECONDS:g} s, got {text!r}",
            next_step="such as --probe-seconds 60",
        )
    return limit


def _diagnose_host(name: str, hosts: Session, probe: float | None) -> Incident:
    """Read one host, and probe its loaded model if `probe` seconds are given.

    An error of the host becomes its result. The connection refuses writes while causes are diagnosed.
    """
    from remediation.diagnosis.collect import collect, nothing_read

    with hosts.open_for_reading(name) as access:
        evidence = collect(access.reader)
        if reason := nothing_read(evidence):
            raise CallFailed(reason, host=name, next_step=f"remediate check-host --limit {name}")
    judged = _add_notes(_diagnose_evidence(name, evidence), access)
    if probe is None:
        return judged
    from remediation.cli.commands.probe_figures import probe_figures, with_answer

    figures = probe_figures(name, hosts, evidence, judged.found["offloaded"], probe)
    answered = with_answer(evidence, figures)
    judged = judged if answered is evidence else _add_notes(_diagnose_evidence(name, answered), access)
    return dataclasses.replace(judged, found={**judged.found, "measured": figures})


def _add_notes(judged: Incident, access: HostAccess) -> Incident:
    """Return a diagnosis with the connection's notes, as in the ``--json`` document."""
    return dataclasses.replace(judged, found={**judged.found, "connection": list(access.notes)})


def _failed_incident(name: str, error: RemediationError) -> Incident:
    return Incident(name, {"findings": [], "offloaded": None, "predicted": None, "target": None}, error=error)


def _diagnose_evidence(name: str, evidence: Evidence) -> Incident:
    from remediation.diagnosis.diagnose import diagnose as find_causes
    from remediation.diagnosis.diagnose import to_json

    return Incident(name, to_json(find_causes(evidence), target=evidence.model), evidence)


def _save(incidents: list[Incident], path: Path) -> None:
    """Write the redacted readings as records for ``--evidence``; several incidents get one file each."""
    from remediation.diagnosis.redaction import save

    read = [one for one in incidents if one.evidence is not None]
    for one in read:
        own = path if len(read) == 1 else path.with_name(f"{path.stem}-{_as_file_name(one.name)}{path.suffix or '.json'}")
        if one.evidence is not None:
            save(one.evidence, own)
            saved = gettext("the readings are in {file}, without names, tokens and home paths", file=own)
            sys.stderr.write(f"{one.name}: {saved}\n")


def _as_file_name(name: str) -> str:
    kept = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in Path(name).name)
    return kept.strip(".-") or "incident"


def _failure_line(name: str, error: RemediationError) -> str:
    return f"{name}  {gettext('could not be checked: {reason}', reason=translated(error.message).removeprefix(f'{name}: '))}"


def _print(incidents: list[Incident], options: Diagnose) -> None:
    from remediation.report.diagnosis import diagnosis_lines
    from remediation.report.json_lines import document

    mask = current_masker()
    incidents = [dataclasses.replace(one, found=mask(one.found)) for one in incidents]
    if options.json:
        documents = [{"name": one.name, **one.found, **({"error": str(one.error)} if one.error else {})} for one in incidents]
        sys.stdout.write(document(documents))
        return
    for number, one in enumerate(incidents):
        if number:
            sys.stdout.write("\n")
        if one.error:
            sys.stdout.write(f"{visible_line(_failure_line(one.name, one.error))}\n")
            sys.stderr.write(f"{one.name}: {error_text(one.error).removeprefix(f'{one.name}: ')}\n")
            continue
        for line in diagnosis_lines(one.name, one.found, target=one.found.get("target") or "", verbose=options.verbose):
            sys.stdout.writelines(f"{row}\n" for row in line.rows())
