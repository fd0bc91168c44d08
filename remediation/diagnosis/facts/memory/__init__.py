"""Facts about memory: what the model needs, what the card has, and what decides between them."""

from __future__ import annotations

from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.facts.memory import holders
from remediation.diagnosis.facts.memory.common import MANY, VERY_LONG, VERY_MANY, load_quotes
from remediation.diagnosis.facts.memory.compared import compare
from remediation.diagnosis.facts.memory.decision import derive_decision, derive_reserve, derive_spill
from remediation.diagnosis.facts.memory.estimate import derive_estimate, derive_graph
from remediation.diagnosis.facts.memory.holders import BIG
from remediation.diagnosis.facts.memory.sizes import derive_sizes
from remediation.diagnosis.facts.memory.slots import derive_slots
from remediation.diagnosis.units import MIB, human


def derive_memory(sheet: FactSheet) -> None:
    """Record the facts about memory."""
    reading, load, figures = sheet.reading, sheet.load, sheet.figures
    derive_slots(sheet)
    holders.other_models(sheet)
    holders.record_context_refusal(sheet)
    if sheet.holds("place.whole") and sheet.holds("slots.many"):
        holders.record_growth(sheet)
    if load is not None and load.short and sheet.holds("backend.live") is False and sheet.holds("discovery.empty"):
        return
    bound = sheet.holds("request.few", "request.inherited")
    used = None if figures.total is None or figures.free is None else figures.total - figures.free
    if used is not None and figures.total and used < BIG + figures.cards * 256 * MIB:
        sheet.record(
            "vram.free", True, f"{human(figures.free or 0)} of {human(figures.total)} are free", load.free_at if load else None
        )
    derive_reserve(sheet)
    derive_spill(sheet)
    loaded = load is not None and (load.parallel or 0) >= MANY and (load.context or 0) >= VERY_LONG
    text, at = f"{figures.parallel} slots of {figures.context} tokens were loaded", load.command_at if load else None
    sheet.record("slots.loaded", (loaded and not sheet.holds("place.whole")) or None, text, load_quotes(sheet)[0] or at)
    if not bound and not sheet.holds("place.whole", "ram.ended"):
        derive_decision(sheet, used)
        derive_graph(sheet)
        derive_estimate(sheet)
        derive_sizes(sheet)
        compare(sheet)
    holders.programs(sheet)
    if (
        reading.hit("gpu_oom") is not None
        and figures.parallel >= VERY_MANY
        and (figures.context or 0) * figures.parallel >= 65536
    ):
        sheet.record("room.slots_oom", True, f"{figures.parallel} slots of {figures.context} tokens need more than the card has")
