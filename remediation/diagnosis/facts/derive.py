"""From what was read to facts: once, in one place."""

from __future__ import annotations

from remediation.diagnosis.facts import host, room, run, words
from remediation.diagnosis.facts.base import Facts, Sheet
from remediation.diagnosis.reading import Reading


def derive(reading: Reading) -> Facts:
    """Return the facts of one incident; the order is that in which they rest on each other."""
    sheet = Sheet(reading)
    for hit in reading.hits:
        sheet.say(f"msg.{hit.key}", True, "", hit.at, of=hit)
    for _ in words.derive(sheet):
        pass
    run.derive(sheet)
    host.derive(sheet)
    room.derive(sheet)
    return Facts(sheet.known)
