"""Facts about servers and runners that ended, and how to restart them."""

# one fact a line, so that they can be read as a table
# fmt: off

from __future__ import annotations

from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.facts.host.guest import derive_ended
from remediation.diagnosis.readers.reading import Reading
from remediation.diagnosis.runners import dead_runner, ps_quote
from remediation.model.facts.server import restart_advice as restart
from remediation.model.finding import Quote


def died_without_layers(reading: Reading) -> bool:
    """Whether a load failed for which the server had planned no layer on the card (facts/ollama 5.2)."""
    load = reading.shown
    if load is None or load.seconds is not None or load.requested not in {None, -1} or load.result is None or load.result[0]:
        return False
    return reading.hit("runner_terminated") is not None


def how_to_restart(reading: Reading) -> str:
    """Return the command that restarts the server on its platform."""
    name = str((reading.evidence.container or {}).get("Name") or "").lstrip("/")
    windows, serving = reading.evidence.platform == "windows", reading.evidence.serving
    if serving is not None and not reading.in_container and (how := serving.how_to_restart):
        return f"restart the server: {how}"
    return restart(name or ("ollama" if reading.in_container else ""), windows=windows, unit=reading.evidence.unit)


def derive_ends(sheet: FactSheet) -> None:
    """Record how servers, loads and runners ended."""
    reading = sheet.reading
    evidence = reading.evidence
    if evidence.silent:
        sheet.record("server.silent", True, evidence.silent, Quote("GET /api/version", evidence.silent))
        sheet.record("server.behind_proxy", "proxy" in evidence.silent)
    derive_ended(sheet)
    dead, died, last = dead_runner(evidence), reading.hit("runner_died"), reading.last_request
    failed = last.at if last is not None and last.failed else None
    if dead is not None:
        text = f"the runner of {dead.model} has died: /api/ps lists it, and no process of a runner is left"
        sheet.record("runner.dead", True, text, ps_quote(dead), failed)
        sheet.record("runner.dead_seen", died is not None or failed is not None or bool(evidence.probe))
    if died is not None:
        sheet.record("runner.died", True, "the runner ended while it answered a request", died.at, failed, of=died)
    if dead is not None or died is not None:
        sheet.record(
            "runner.gone", True, "the runner died while it answered, as it does when memory runs out", died.at if died else failed
        )
    if evidence.probe or failed is not None:
        text = (
            f"a request to the loaded model was not answered: {evidence.probe}"
            if evidence.probe
            else f"the last request was answered with {last.status if last else 500}"
        )
        sheet.record("request.fails", True, text, failed)
    if died_without_layers(reading):
        sheet.record("load.died_without_layers", True, "the load died although no layer was to be on the card")
    terminated = reading.hit(
        "runner_terminated",
        "gpu_oom",
        "ram_refused",
        "killed",
        "ram_allocation",
        "load_timeout",
        "unloadable",
        "truncated",
        "bad_magic",
    )
    starved = reading.hit("killed", "ram_refused", "ram_allocation", "signalled", "exit_137")
    sheet.record(
        "ram.ended", (starved is not None) or None, "system memory ended the load", starved.at if starved else None, of=starved
    )
    sheet.record(
        "load.died", (terminated is not None) or None, "the load failed", terminated.at if terminated else None, of=terminated
    )


def derive_happened(sheet: FactSheet) -> None:
    """Record the end of the load: the first true statement."""
    live, whole = sheet.holds("backend.live"), sheet.holds("place.whole")
    for name, true in (
        ("happened.load_died", sheet.holds("load.died")),
        ("happened.died_generating", sheet.holds("runner.gone")),
        ("happened.no_device", sheet.holds("discovery.empty") and not live),
        ("happened.none_placed", sheet.holds("place.none") and live),
        ("happened.part", sheet.holds("place.part")),
        ("happened.slow_load", whole and sheet.holds("load.slow", "load.dominates")),
        ("happened.slow_on_gpu", whole and sheet.holds("speed.slow", "reported.slow", "reported.cpu_works")),
        ("happened.nothing_wrong", whole and not sheet.holds("request.fails", "reported.crash", "place.planned")),
    ):
        if true:
            sheet.record(name)
            return
