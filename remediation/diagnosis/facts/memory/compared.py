"""Facts from two lists or loads of one model: what differs names the cause."""

from __future__ import annotations

import re

from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.facts.memory.holders import BIG
from remediation.diagnosis.readers.logs import Load
from remediation.diagnosis.readers.present import is_live
from remediation.diagnosis.readers.texts.ps import PsRow
from remediation.diagnosis.units import human, parse_size
from remediation.diagnosis.versions import parse_version
from remediation.model.finding import Quote
from remediation.model.text.words import plural

_SEVERAL_LINES = 2
_OF_RELEASE = re.compile(
    r"^[ \t*-]{0,8}(?:ollama |release |version )?v?(0\.\d{1,2}\.\d{1,2})\b[^:\n]{0,24}:[ \t]([^\n]{3,300})$",
    re.MULTILINE | re.IGNORECASE,
)
_LAYERS = re.compile(r"\b(\d{1,3})(?: (?:of|/|out of) \d{1,3})? layers\b")
_SLOT_NEED = re.compile(r"NUM_PARALLEL\W{1,4}(\d{1,3})\b[^\n]{0,80}?(\d{1,4}(?:\.\d{1,2})?) ?(GiB|MiB|GB|MB)\b", re.IGNORECASE)


def compare(sheet: FactSheet) -> None:
    """Compare lists and loads of one model; the difference names the cause."""
    reading = sheet.reading
    rows = [row for row in reading.ps if row.gpu is not None]
    for worse in rows:
        for better in rows:
            if worse.name == better.name:
                _two_rows(sheet, worse, better)
    _releases(sheet)
    needs = {int(slots): parse_size(f"{size} {unit}") or 0 for slots, size, unit in _SLOT_NEED.findall(reading.raw)}
    if len(needs) > 1 and needs[max(needs)] > needs[min(needs)] * 1.2:
        text = f"{min(needs)} slots need {human(needs[min(needs)])}, {max(needs)} need {human(needs[max(needs)])}"
        sheet.record("compared.slots", True, text, Quote("text", text))
    loads = [load for load in reading.loads if load.free and load.result and load.requested in {None, -1}]
    for less in (load for load in loads if load is reading.shown or not is_live(reading.evidence)):
        for more in loads:
            _two_loads(sheet, less, more)


def _releases(sheet: FactSheet) -> None:
    """Record what a list with one line for each release says: fewer layers with a later one."""
    lines = [(parse_version(number), rest.strip()) for number, rest in _OF_RELEASE.findall(sheet.reading.raw)]
    known = sorted(((version, rest) for version, rest in lines if version is not None), key=lambda one: one[0])
    if len(known) < _SEVERAL_LINES:
        return
    sheet.record("reported.updated", True, "the releases differ", Quote("text", known[-1][1][:160]))
    layers = [(int(match[1]), rest) for _, rest in known if (match := _LAYERS.search(rest))]
    if len(layers) >= _SEVERAL_LINES and layers[-1][0] < layers[0][0]:
        text = f"an earlier release placed {plural(layers[0][0], 'layer')}, a later one {layers[-1][0]}"
        sheet.record("reported.more_before", True, text, Quote("text", layers[0][1][:160]), Quote("text", layers[-1][1][:160]))


def _two_rows(sheet: FactSheet, worse: PsRow, better: PsRow) -> None:
    if worse.gpu is None or better.gpu is None or worse.gpu >= better.gpu:
        return
    if worse.context and better.context and worse.context > better.context:
        text = f"at {better.context} tokens {better.gpu:.0%} of it is on the GPU, at {worse.context} only {worse.gpu:.0%}"
        sheet.record("compared.context", True, text, worse.at, better.at)
    elif worse.gpu and better.gpu == 1 and sheet.holds("reported.updated") and worse.context == better.context:
        sheet.record("compared.share", True, f"all of it was on the GPU before, now {worse.gpu:.0%} are", worse.at, better.at)
    if worse.size and better.size and worse.size > better.size * 1.1 and not (worse.context or better.context):
        text = "the same model took more memory: weights do not grow, the cache does"
        sheet.record("compared.size", True, text, worse.at, better.at)
    if worse.context and better.context and worse.context <= better.context and worse.gpu == 0:
        sheet.record("compared.not_context", True, "with a context as long it was on the card before", worse.at, better.at)


def _two_loads(sheet: FactSheet, less: Load, more: Load) -> None:
    if not (less.result and more.result and less.result[1] == more.result[1] and less.result[0] < more.result[0]):
        return
    same = (less.context or 0) in {0, more.context or 0} or not more.context
    if sum(more.free) - sum(less.free) > BIG and same and (less.overhead or 0) == (more.overhead or 0):
        text = (
            f"{human(sum(more.free))} free gave {plural(more.result[0], 'layer')}, {human(sum(less.free))} only {less.result[0]}"
        )
        sheet.record("compared.free", True, text, less.free_at, more.free_at, of=less)
