"""Facts from sizes that lists, names and people give, where no load shows figures."""

from __future__ import annotations

import re

from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.facts.memory import holders
from remediation.diagnosis.facts.memory.common import load_quotes
from remediation.diagnosis.facts.memory.estimate import wants_all
from remediation.diagnosis.facts.run.placement import worst_row
from remediation.diagnosis.memory.parameters import names_several_sizes, parameter_billions, usual_weights
from remediation.diagnosis.memory.shortage import DEFAULT_CONTEXT
from remediation.diagnosis.units import GIB, MIB, human
from remediation.model.finding import Quote

_BITS_FLOOR = 0.45  # bytes per parameter of the hardest common quantisation (about 3.6 bits)
_USUAL_BYTES = 0.58  # bytes per parameter at the default quantisation (about 4.6 bits)
_ROOMY = 0.8
"""Weights below this share of the card fit it together with a small cache."""
_MANY_LAYERS = 60  # dense models of 60 and more layers have 27 billion parameters and more
_LEAST_OF_MANY = 16 * GIB
"""So much a card has that the smallest of them fills at the usual quantisation."""
_LEAST_BY_LAYERS = ((49, 7 * GIB), (41, 5 * GIB), (33, 2 * GIB))
"""Least size of a model by its number of layers, at the usual quantisation (phi3 3.8B, gemma2 9B, gemma3 12B)."""
_OF_APPLE = 0.75
"""The largest share of a Mac's memory that macOS gives the GPU by default."""
_FILE_TOLD = re.compile(
    r"(?:(?<![\w./-])(?=[\w./-]{1,80}:)|(?<=run )|(?<=pull )|(?<=model ))([\w./-]{1,80}(?::[\w.-]{1,60})?) \((\d{1,4}(?:\.\d)?) ?(GB|MB)\b"
)
_FILE = re.compile(
    r"^(\S{1,80}:\S{1,60})\s{1,20}[0-9a-f]{12}\s{1,20}(\d{1,5}(?:\.\d)?) (GB|MB)\s{1,20}(?:\d{1,3} [a-z]|About|Less)",
    re.MULTILINE,
)


def derive_sizes(sheet: FactSheet) -> None:  # noqa: C901 - one branch per kind of figure
    """Compare the listed size, or the parameters in the model's name, with the card, without figures of a load."""
    reading, load, figures = sheet.reading, sheet.load, sheet.figures
    total, row = _usable(sheet), worst_row(reading) or next((one for one in reading.ps if one.size), None)
    small = figures.parallel <= 1 and (figures.context is None or figures.context <= DEFAULT_CONTEXT)
    whole_size = row.size if row is not None and row.size else None
    names = [one.name for one in reading.ps] + [name for log in reading.logs for name in log.models_seen]
    billions = parameter_billions(" ".join([*names, reading.prose]))
    files = {
        match[1]: int(float(match[2]) * (GIB if match[3] == "GB" else MIB))
        for pattern in (_FILE_TOLD, _FILE)
        for match in pattern.finditer(reading.raw)
    }
    shown = [row.name] if row is not None and row.name else list(files)
    file_size = max((files[name] for name in shown if name in files), default=None)
    held = max(load.model_cpu, load.model_gpu) if load is not None and load.mapped else 0
    if total and held > total and sheet.holds("place.short"):
        text = f"{human(held)} of weights do not fit a card of {human(total)}"
        sheet.record("size.exceeds_card", True, text, load.result_at if load else None)
    if total and file_size is not None and file_size > total and (sheet.holds("place.short", "speed.slow") or row is None):
        sheet.record(
            "size.exceeds_card",
            True,
            f"the file of {human(file_size)} does not fit a card of {human(total)}",
            row.at if row else Quote("text", f"{human(file_size)}"),
        )
    holders.record_growth(sheet)
    if file_size is not None and whole_size is not None and whole_size > 2 * file_size and not sheet.holds("slots.many"):
        sheet.record(
            "size.mostly_cache",
            True,
            f"it takes {human(whole_size)}, its file {human(file_size)}: the rest is context",
            row.at if row else None,
        )
    open_which = not names and names_several_sizes(reading.prose)
    if not sheet.holds("place.whole") and total and billions and billions * 1e9 * _BITS_FLOOR > total and not open_which:
        text = f"{billions:g} billion parameters need at least {human(int(billions * 1e9 * _BITS_FLOOR))}, the card has {human(total)}"
        sheet.record("size.exceeds_card", True, text, *load_quotes(sheet)[-1:])
    if not sheet.holds("place.whole") and total and billions and billions * 1e9 * _USUAL_BYTES > total * 0.9:
        text = f"{billions:g} billion parameters take about {human(int(billions * 1e9 * _USUAL_BYTES))} at the default quantisation, the card has {human(total)}"
        sheet.record("size.tight", True, text, *load_quotes(sheet)[-1:])
    if not sheet.holds("place.short"):
        return
    if total and whole_size is not None and whole_size > total and small and row is not None:
        text, weights = f"it takes {human(whole_size)}, the card has {human(total)}", usual_weights(row.name)
        cache = weights is not None and whole_size > 2 * weights + 2 * GIB
        listed = weights is None or weights < total * _ROOMY
        name = "size.mostly_cache" if cache else "size.listed_exceeds" if listed else "size.exceeds_card"
        sheet.record(name, True, text, row.at)
    if (
        total
        and whole_size is not None
        and row is not None
        and row.gpu is not None
        and whole_size <= total * 1.35
        and row.gpu >= 0.85
    ):
        sheet.record("size.nearly_fits", True, "all but a tenth fits; the listed size is the server's estimate", row.at)
    if total and whole_size is not None and whole_size < total * 0.9 and small:
        sheet.record(
            "size.fits_card", True, f"it takes {human(whole_size)}, the card has {human(total)}", row.at if row else None
        )
    if reading.offloaded and 0 < reading.offloaded[0] < reading.offloaded[1]:
        at = load.result_at if load else None
        if (
            figures.full is None
            and figures.fits(total) is not True
            and reading.offloaded[1] > _MANY_LAYERS
            and (total or 24 * GIB) <= 24 * GIB
        ):
            text = f"{reading.offloaded[1]} layers are those of a model of 27 billion parameters or more"
            sheet.record("size.exceeds_card", bool(total and total <= _LEAST_OF_MANY) or None, text, at)
            sheet.record("size.many_layers", True, text, at)
        sheet.record("size.part", True, "not all layers fit", at)
        _by_layers(sheet, reading.offloaded[1], total)
        if reading.offloaded[0] == reading.offloaded[1] - 1 and load is not None and wants_all(load):
            sheet.record("size.output_layer", True, "all blocks fit, the output layer does not", at)


def _usable(sheet: FactSheet) -> int | None:
    """Return the card's memory that a model may take; of a Mac's memory that is a share."""
    total = sheet.reading.card_total
    words = sheet.holds("card.only_apple") and not sheet.reading.gpu_devices
    return int(total * _OF_APPLE) if total and words else total


def _by_layers(sheet: FactSheet, layers: int, total: int | None) -> None:
    """Compare the card with the least size for the number of layers, where the load gives no figures."""
    load = sheet.load
    least = next((size for most, size in _LEAST_BY_LAYERS if layers >= most), 0)
    if sheet.figures.full is None and sheet.figures.fits(total) is not True and total and least >= total:
        text = f"a model of {layers} layers takes {human(least)} and more, the card has {human(total)}"
        sheet.record("size.exceeds_card", True, text, load.result_at if load else None)
