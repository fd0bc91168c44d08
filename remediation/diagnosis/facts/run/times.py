"""Facts about speed, duration of loads, and models that are loaded again and again."""

# one fact a line, so that they can be read as a table
# fmt: off

from __future__ import annotations

import itertools
import re

from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.readers.present import is_live
from remediation.model.finding import Quote
from remediation.model.text.timestamps import parse_timestamp
from remediation.model.text.words import plural

_BRISK, _SLOW = 15.0, 5.0  # tokens per second; a CPU alone rarely reaches the first rate with a 7B model
SLOW_SECONDS, _LOAD_SHARE = 60.0, 0.5
_IDLE, _LONG_LOAD = 240.0, 10.0  # the server unloads a model after five minutes
_UNLOADS = 300.0  # keep_alive, where nothing else is set
_STARTED = re.compile(r"time=(\S{19,40})[^\n]{0,80}(?:llama runner|llama-server) started in")
_ANSWERED = re.compile(r"\[GIN\] (\d{4}/\d\d/\d\d) - (\d\d:\d\d:\d\d) \|\s{0,20}\d{3} \|\s{0,20}([\d.hmsµnu]{2,24})")
_PARTS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(h|ms|µs|us|ns|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "us": 1e-6, "ns": 1e-9}
_PACE = re.compile(r"(?<![\d.,-])(\d{1,3}(?:\.\d{1,2})?) ?(?:tokens?|tok|t) ?(?:/|per) ?(?:s\b|sec)", re.IGNORECASE)
_KEPT = re.compile(r"(?<![A-Za-z_])keep_?alive[\"']?\s{0,4}[=:]\s{0,4}[\"']?(0s?|[1-9]s|[1-5]\ds)(?![\w.])", re.IGNORECASE)
_SOON = re.compile(r"(?:\d|\d{1,5}ms|[0-9]s|10s?)$")
_FOREVER = re.compile(r"keep_?alive[\"']?\s{0,4}(?:[=:]|is|to)?\s{0,4}[\"']?-1|\bforever\s*$", re.IGNORECASE | re.MULTILINE)


def derive_times(sheet: FactSheet) -> None:
    """Record speeds and durations."""
    reading = sheet.reading
    loads = (reading.shown,) if is_live(reading.evidence) else reading.loads
    slow = next((load for load in loads if load is not None and load.seconds and load.seconds >= SLOW_SECONDS), None)
    if slow is not None:
        sheet.record("load.slow", True, f"loading took {slow.seconds:.0f} s", slow.started_at or slow.result_at or slow.at, of=slow)
    paces = [hit for hit in reading.hits if hit.key == "load_progress"]
    stamps = [
        (parse_timestamp(hit.at.text[5:].partition(" ")[0]), float(hit.groups[0]))
        for hit in paces
        if hit.at.text.startswith("time=")
    ]
    known = [(when, part) for when, part in stamps if when is not None]
    if len(known) > 1 and known[-1][1] > known[0][1]:
        whole = (known[-1][0] - known[0][0]) / (known[-1][1] - known[0][1])
        sheet.record(
            "load.slow",
            whole >= 2 * SLOW_SECONDS or None,
            f"by its own progress the load takes {whole / 60:.0f} minutes",
            paces[0].at,
            of=paces[0],
        )
    pace = _PACE.search(reading.prose)
    reported = next((one for one in reading.speeds if one.total or one.rate or one.load), None)
    for one in reading.speeds:
        if one.load and one.load >= 10 and (not one.total or one.load >= one.total * _LOAD_SHARE):
            sheet.record("load.dominates", True, f"of the whole time {one.load:.0f} s are loading", one.at)
        if one.load and one.total and one.load < one.total * _LOAD_SHARE:
            sheet.record("load.small_part", True, f"loading is {one.load:.0f} of {one.total:.0f} s", one.at)
    if reported is not None and reported.rate is not None:
        sheet.record("speed.brisk", reported.rate >= _BRISK, f"the server writes {reported.rate:.0f} tokens/s", reported.at)
        sheet.record("speed.slow", reported.rate < _SLOW, f"it writes only {reported.rate:.1f} tokens/s", reported.at)
    elif pace is not None:
        sheet.record("speed.slow", float(pace[1]) < _SLOW or None, f"it writes {pace[1]} tokens/s", Quote("text", pace[0]))
    _after_pauses(sheet)
    _loads_after_pauses(sheet)
    _reloads(sheet)


def _after_pauses(sheet: FactSheet) -> None:
    """Record that only requests after a pause are slow in the access log: the model was unloaded in between."""
    slow: list[tuple[float, float | None, Quote]] = []
    fast: list[tuple[float, float | None, Quote]] = []
    last: float | None = None
    for one in (request for log in sheet.reading.logs for request in log.requests):
        match = _ANSWERED.search(one.at.text)
        ended = parse_timestamp(match[1].replace("/", "-") + "T" + match[2]) if match else None
        if match is None or ended is None:
            continue
        took = sum(float(number) * _UNITS[unit] for number, unit in _PARTS.findall(match[3]))
        idle = None if last is None else ended - took - last
        (fast if idle is not None and idle < _IDLE else slow).append((took, idle, one.at))
        last = ended
    known = [one for one in slow if one[1] is not None]
    if known and len(fast) > 1 and min(one[0] for one in slow) >= max(_LONG_LOAD, 3 * max(one[0] for one in fast)):
        text = f"after a pause an answer takes {known[0][0]:.0f} s, the next ones {max(one[0] for one in fast):.0f} s at most"
        sheet.record("load.after_pause", True, text, known[0][2], fast[-1][2])


def _loads_after_pauses(sheet: FactSheet) -> None:
    """Record that the server loads again after each pause in which it unloads a model, and at no other time."""
    starts = list(_STARTED.finditer(sheet.reading.log_text))
    begun = [when for match in starts if (when := parse_timestamp(match[1])) is not None]
    gaps = [after - before for before, after in itertools.pairwise(begun)]
    if len(gaps) > 1 and min(gaps) >= _UNLOADS and len({load.model for load in sheet.reading.loads if load.model}) <= 1:
        times = len(begun)
        text = f"the model is loaded {times} times, each time more than {_UNLOADS / 60:.0f} minutes after the last"
        sheet.record("load.each_after_pause", True, text, Quote("server_log", starts[-1][0][:200]))


def _reloads(sheet: FactSheet) -> None:
    """Record why a model is reloaded repeatedly."""
    reading = sheet.reading
    computed = next(
        (
            option
            for option in reading.requested_options
            if option.what == "num_ctx" and option.value is None and any(sign in option.expression for sign in "*+")
        ),
        None,
    )
    if computed is not None:
        sheet.record(
            "ask.computed_context",
            True,
            "the context is computed again for each request, and each change reloads the model",
            computed.at,
        )
    for one in reading.bodies:
        other = next((body for body in reading.bodies if body.model == one.model and body.options != one.options), None)
        if other is not None:
            sheet.record("ask.options_differ", True, f"requests for {one.model} differ in options of the load", one.at, other.at)
    contexts = {load.context for load in reading.loads if load.context and load.started_at is not None}
    files = {load.model for load in reading.loads if load.model}
    if len(contexts) > 1 and len(files) <= 1 and len(reading.loads) > 2 and not sheet.holds("place.short"):
        sheet.record(
            "load.options_differ", True, f"one model was loaded with {plural(len(contexts), 'context')} in turn", reading.loads[-1].at
        )
    keep = reading.setting("OLLAMA_KEEP_ALIVE")
    if keep is not None and _SOON.match(keep.value):
        sheet.record("keep_alive.zero", True, f"OLLAMA_KEEP_ALIVE={keep.value} unloads the model after each answer", keep.at)
    forever = _FOREVER.search(reading.raw)
    if forever is not None:
        sheet.record("keep_alive.forever", True, "the model is to stay loaded", Quote("text", forever[0].strip()))
    keep_alive = _KEPT.search(reading.raw)
    if keep_alive is not None:
        text = f"{keep_alive[0].strip()} in the request unloads the model {'after each answer' if keep_alive[1] in {'0', '0s'} else 'soon'}"
        sheet.record("keep_alive.zero", True, text, Quote("request", keep_alive[0].strip()))
