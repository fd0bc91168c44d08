"""Facts about what happened: discovery, placement, requests, ends and times."""

# one fact a line, so that they can be read as a table
# fmt: off

from __future__ import annotations

from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.facts.run.discovery import derive_discovery
from remediation.diagnosis.facts.run.ends import derive_ends, derive_happened
from remediation.diagnosis.facts.run.placement import derive_placement
from remediation.diagnosis.facts.run.requests import derive_requests
from remediation.diagnosis.facts.run.times import derive_times


def derive_run(sheet: FactSheet) -> None:
    """Record discovery, placement, requests, ends and times."""
    derive_discovery(sheet)
    derive_placement(sheet)
    derive_requests(sheet)
    derive_ends(sheet)
    derive_times(sheet)
    derive_happened(sheet)
