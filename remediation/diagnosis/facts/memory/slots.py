"""Facts about parallel slots and the length of the context."""

from __future__ import annotations

from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.facts.memory.common import LONG, MANY, VERY_LONG, VERY_MANY
from remediation.diagnosis.facts.run.placement import worst_row
from remediation.diagnosis.memory.prediction import need_with_slots
from remediation.diagnosis.memory.shortage import DEFAULT_CONTEXT
from remediation.diagnosis.units import human
from remediation.diagnosis.versions import at_least
from remediation.model.text.digits import is_whole


def _record_size_for_slots(sheet: FactSheet) -> None:
    """Compare the listed size with what the declared slots need, where no load shows them: one slot would fit the card."""
    reading, figures, setting = sheet.reading, sheet.figures, sheet.reading.setting("OLLAMA_NUM_PARALLEL")
    row = worst_row(reading)
    if sheet.load is not None or setting is None or row is None or not row.size or not figures.total or figures.parallel < MANY:
        return
    one, all_slots = need_with_slots(reading, 1), need_with_slots(reading, figures.parallel)
    if one is None or all_slots is None or one > figures.total or abs(row.size - all_slots) > abs(row.size - one):
        return
    text = (
        f"the model takes {human(row.size)}, as {figures.parallel} slots need ({human(all_slots)}); one slot needs {human(one)}"
    )
    sheet.record("slots.sized", True, text, setting.at, row.at)


def derive_slots(sheet: FactSheet) -> None:
    """Record parallel slots and the length of the context."""
    reading, load, figures = sheet.reading, sheet.load, sheet.figures
    setting = reading.setting("OLLAMA_NUM_PARALLEL")
    at = setting.at if setting else load.assigned_at or load.command_at if load else None
    text = f"{figures.parallel} parallel slots multiply the cache: {sheet.words}"
    if load is not None and load.parallel == 1:
        sheet.record("slots.one", True, "one slot")
    sheet.record("slots.many", (figures.parallel >= MANY) or None, text, at)
    sheet.record("slots.very_many", (figures.parallel >= VERY_MANY) or None, text, at)
    _record_size_for_slots(sheet)
    length, refused = figures.context, reading.hit("ram_refused")
    huge = (length or 0) * figures.parallel >= VERY_LONG
    sheet.record("cache.huge", (refused is not None and huge) or None, text, refused.at if refused else None)
    if length is None:
        return
    option = next((one.at for one in reading.requested_options if one.what == "num_ctx" and one.value == length), None)
    own = reading.setting("OLLAMA_CONTEXT_LENGTH")
    row = next((row for row in reading.ps if row.context == length), None)
    where = option or (own.at if own is not None and own.value == str(length) else None) or (row.at if row else None)
    words = f"a context of {length} tokens: {sheet.words}"
    if length <= DEFAULT_CONTEXT and load is not None and load.context:
        sheet.record("context.small", True, f"the context is {length}")
    sheet.record("context.long", (length >= LONG) or None, words, where)
    sheet.record("context.very_long", (length >= VERY_LONG) or None, words, where)
    sheet.record(
        "context.tier", (length in {32768, 262144} and at_least(reading.version, "0.15.5") is not False) or None, words, where
    )
    sheet.record("context.absurd", (length >= 1_000_000) or None, words, where)
    lengths = {one.value for one in reading.requested_options if one.what == "num_ctx" and one.value}
    sheet.record(
        "ask.contexts_differ",
        (len(lengths) > 1) or None,
        f"num_ctx is requested as {', '.join(str(one) for one in sorted(lengths))}",
        option,
    )
    if option is not None:
        sheet.record("context.asked_by", True, words, option)
        own_parameter = "PARAMETER" in option.text or option.where.startswith(("modelfile", "/api/show"))
        sheet.record("context.modelfile", own_parameter or None, words, option)
    elif own is not None and own.value == str(length):
        sheet.record("context.server", True, words, own.at)
    elif (
        own is not None and is_whole(own.value) and 0 < int(own.value) < length and "OLLAMA_CONTEXT_LENGTH" in reading.environment
    ):
        # the server reads a smaller default, so that only a request or the model itself can have requested more
        sheet.record("context.asked_by", True, f"{words}; the server's own default is {own.value}", own.at)
