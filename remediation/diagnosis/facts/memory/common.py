"""What several modules about memory share: long contexts, many slots, and the quotes of a load."""

from __future__ import annotations

from remediation.diagnosis.facts.base import FactSheet
from remediation.model.finding import Quote

LONG, VERY_LONG, MANY, VERY_MANY = 16384, 32768, 3, 8


def load_quotes(sheet: FactSheet) -> tuple[Quote | None, ...]:
    """Return the lines that show a load's memory and result, or the row of a list."""
    load = sheet.load
    return (
        (load.free_at, load.planned_at or load.assigned_at, load.result_at)
        if load
        else (next((row.at for row in sheet.reading.ps), None),)
    )
