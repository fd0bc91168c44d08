"""Facts about where the model is: on the card, in system memory, or in parts on both."""

# one fact a line, so that they can be read as a table
# fmt: off

from __future__ import annotations

import re

from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.readers.logs import Load
from remediation.diagnosis.readers.reading import Reading
from remediation.diagnosis.readers.texts.ps import PsRow
from remediation.diagnosis.units import GIB, human, parse_size
from remediation.diagnosis.versions import at_least
from remediation.model.finding import Quote
from remediation.model.text.words import plural, verb

_BESIDE = _HALF = 0.5
_IN_WORDS = re.compile(
    r"(?:(?:only|just|first|offload\w*)\W{1,3})?\b(\d{1,3}) ?(?:of|/|out of) ?(?:the |all )?(\d{1,3}) (?:repeating )?layers?\b",
    re.IGNORECASE,
)
"""A number of layers in a sentence."""
_BUILT_IN = re.compile(r"^\"?[^\s\"]{0,200}[/\\]ollama(?:\.exe)? runner --")
"""The runner in the program itself, which these releases have for the processor alone."""
_CPU_GRAPH = re.compile(r'msg="compute graph"[^\n]{0,80}(?:backend|device)=CPU[^\n]{0,60}size="([\d.]{1,8} [KMG]iB)"')


def worst_row(reading: Reading) -> PsRow | None:
    """Return the listed model with the smallest share on the GPU; the last row counts for each model."""
    rows = [row for row in reading.placed if row.gpu is not None]
    return min(rows, key=lambda row: row.gpu if row.gpu is not None else 1.0) if rows else None


def _phantom(load: Load | None) -> bool:
    """Whether the log claims layers on a missing GPU (recordings, surprise 3): all buffers are in system memory."""
    if load is None or load.offloaded is None or not load.offloaded[0]:
        return False
    return load.model_cpu > 0 and load.model_gpu == 0 and load.kv_gpu == 0 and load.kv_cpu > 0


def _by_buffers(load: Load | None) -> float | None:
    """Return the share of the weights on the card by the buffers, where more than the embedding is in system memory.

    A memory-mapped file counts as a whole, so its buffers do not show the share.
    """
    if load is None or load.mapped or not load.model_gpu or load.model_cpu < load.model_gpu * _BESIDE:
        return None
    return load.model_gpu / (load.model_gpu + load.model_cpu)


def _failed_plan(sheet: FactSheet) -> Quote | None:
    """Return the evidence that a plan for the card failed: buffers in system memory only, or a missing backend."""
    reading, load = sheet.reading, sheet.load
    planned = (load.planned or load.command_layers or 0) if load is not None else 0
    row = worst_row(reading)
    if load is not None and load.offloaded is None and planned:
        if load.model_cpu and not (load.model_gpu or load.kv_gpu or load.graph_gpu or load.compute_gpu):
            return load.planned_at or load.command_at
        # a list of backends printed before the runner starts is not about the load
        keys = ("none_compatible", "cpu_runner", *(["system_cpu_only"] if load.started_at is not None else []))
        if (hit := reading.hit(*keys)) is not None and not load.model_gpu:
            return hit.at
        if _BUILT_IN.search(load.command) and at_least(reading.version, "0.5.2") and at_least(reading.version, "0.5.8") is False:
            return load.command_at
    if row is not None and row.gpu and reading.offloaded is None:
        if load is not None and load.model_cpu and not load.model_gpu:
            return row.at
        unloadable = reading.hit("libraries_unloadable")
        return unloadable.at if unloadable is not None and reading.hit("system_cpu_only") else None
    return None


def derive_placement(sheet: FactSheet) -> None:
    """Record where the model is."""
    reading, load = sheet.reading, sheet.load
    unallocated, phantom, lying = _failed_plan(sheet), _phantom(load), _by_buffers(load)
    row, short, at = worst_row(reading), None, None
    share: float | None = None
    if reading.offloaded is not None and load is not None:
        share, at = reading.offloaded[0] / reading.offloaded[1], load.result_at
        text = f"{reading.offloaded[0]} of {reading.offloaded[1]} layers {verb(reading.offloaded[0])} on the GPU"
        share = 0.0 if phantom else share
    elif row is not None and row.gpu is not None:
        share, at, text = row.gpu, row.at, f"{row.gpu:.0%} of the model is on the GPU"
    elif load is not None and lying is not None:
        share, at, text = lying, load.at, f"{human(load.model_cpu)} of the weights are in system memory, {human(load.model_gpu)} on the card"
        sheet.record("place.mostly_host", lying < _HALF or None, text, at, of=load)
    if unallocated is not None:
        number = (load.planned or load.command_layers or 0) if load else 0
        text = f"{plural(number, 'layer')} {verb(number, 'was', 'were')} planned for the card, and the runner loaded all of it into system memory" if number else "a list names the card, and the runner loaded all of it into system memory"
        sheet.record("place.unallocated", True, text, unallocated, of=load)
        share, at = 0.0, unallocated
    sheet.record("place.phantom", phantom or None, "layers on a GPU are claimed, and no buffer lies on a device", at)
    if (reported := _stated_share(sheet, share)) is not None:
        share, at, text = reported
        sheet.record("place.reported", True, text, at)
    if share is None and sheet.holds("discovery.empty"):
        share, at, text = 0.0, sheet.known["discovery.empty"].quotes[0], "the server found no GPU"
    if share == 1 and load is not None and load.started_at is None and reading.hit("gpu_oom", "runner_terminated") is not None:
        sheet.record("place.planned", True, "only the plan is known: the load died", at)
        return
    if share is None:
        return
    short = share < 1
    sheet.record("place.reported", False)
    if not short and reading.evidence.runners == ():
        text = "the last load put all layers on the GPU; no model is loaded now"
        sheet.record("place.past", True, text, at)
    sheet.record("place.whole", not short, text, at, of=load)
    sheet.record("place.short", short, text, at, of=load)
    sheet.record("place.none", share == 0, text, at, of=load)
    sheet.record("place.part", 0 < share < 1, text, at, of=load)
    planned = load is not None and load.offloaded is None and not load.model_gpu and load.started_at is None
    sheet.record("place.planned", (planned and reading.offloaded is not None) or None, "only the plan is known")
    sheet.record("place.listed_only", reading.offloaded is None or None, "a list says where the model is", row.at if row else None)
    _record_hidden_parts(sheet)


def _stated_share(sheet: FactSheet, share: float | None) -> tuple[float, Quote, str] | None:
    """Return the share that people tell, with its quote and words, where nothing but words says it."""
    if sheet.holds("discovery.empty") or share is not None:
        return None
    stated = ("reported.split",) if sheet.holds("reported.one_card") else ("reported.split", "reported.on_cpu")
    reported = next((sheet.known[name] for name in stated if name in sheet.known), None)
    counted = _IN_WORDS.search(sheet.reading.raw)
    if counted is not None and 0 < int(counted[2]) >= int(counted[1]) and (reported is None or reported.name == "reported.split"):
        return int(counted[1]) / int(counted[2]), Quote("text", counted[0]), f"{counted[0]} are on the GPU according to the report"
    if reported is not None:
        return (0.5 if reported.name == "reported.split" else 0.0), reported.quotes[0], reported.text
    elsewhere = ("reported.fits_elsewhere", "reported.more_before", "reported.forced_fits")
    if sheet.holds("reported.all_on_gpu") and not sheet.holds(*elsewhere):
        fact = sheet.known["reported.all_on_gpu"]
        sheet.record("place.reported_whole", True, fact.text, fact.quotes[0])
        return 1.0, fact.quotes[0], fact.text
    return None


def _record_hidden_parts(sheet: FactSheet) -> None:
    """Record what a placement hides: a graph in system memory, a list that shows less."""
    reading, load, row = sheet.reading, sheet.load, worst_row(sheet.reading)
    if (
        row is not None
        and load is not None
        and load.result
        and row.gpu is not None
        and row.gpu < 0.7 < load.result[0] / load.result[1]
    ):
        text = f"{load.result[0]} of {load.result[1]} layers are on the GPU, and yet only {row.gpu:.0%} of the bytes"
        sheet.record("place.bytes_lag", True, text, load.result_at, row.at)
    computes = [match for match in _CPU_GRAPH.finditer(reading.log_text) if (parse_size(match[1]) or 0) > 4 * GIB]
    sheet.record(
        "place.compute_on_cpu",
        bool(computes) or None,
        f"a compute graph of {computes[0][1]} is in system memory" if computes else "",
    )
    listed = [one for one in reading.ps if one.gpu is not None and one.gpu < 1]
    sheet.record(
        "place.list_contradicts",
        (bool(listed) and sheet.holds("place.whole")) or None,
        "a list shows less on the GPU",
        *(one.at for one in listed[:1]),
    )
