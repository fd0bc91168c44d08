"""Facts about the host: machine, card, driver, container, settings, and the model store."""

# one fact a line, so that they can be read as a table
# fmt: off

from __future__ import annotations

from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.facts.host.card import derive_card
from remediation.diagnosis.facts.host.container import derive_container
from remediation.diagnosis.facts.host.driver import derive_driver
from remediation.diagnosis.facts.host.library import derive_library
from remediation.diagnosis.facts.host.machine import derive_limits, derive_machine, derive_processor
from remediation.diagnosis.facts.host.store import derive_store
from remediation.diagnosis.facts.host.visibility import derive_visibility


def derive_host(sheet: FactSheet) -> None:
    """Record the facts about the host."""
    derive_machine(sheet)
    derive_processor(sheet)
    derive_card(sheet)
    derive_container(sheet)
    derive_driver(sheet)
    derive_library(sheet)
    derive_visibility(sheet)
    derive_limits(sheet)
    derive_store(sheet)
