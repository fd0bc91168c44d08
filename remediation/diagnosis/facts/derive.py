"""From what was read to facts: once, in one place."""

from __future__ import annotations

from remediation.diagnosis.facts.base import Facts, Sheet, seen_name
from remediation.diagnosis.facts.host import derive_host
from remediation.diagnosis.facts.room import derive_room
from remediation.diagnosis.facts.run import derive_run
from remediation.diagnosis.facts.words import derive_words
from remediation.diagnosis.readers.logs.messages import SAYS
from remediation.diagnosis.readers.logs.scan import SEEN
from remediation.diagnosis.readers.reading import Reading


def derive(reading: Reading) -> Facts:
    """Return the facts of one incident; later derivations use earlier facts."""
    sheet = Sheet(reading)
    for hit in reading.hits:
        seen = hit.key.startswith(SEEN)
        sheet.say(seen_name(hit.key[len(SEEN) :]) if seen else f"msg.{hit.key}", True, SAYS.get(hit.key, ""), hit.at, of=hit)
    for _ in derive_words(sheet):
        pass
    derive_run(sheet)
    derive_host(sheet)
    derive_room(sheet)
    return Facts(sheet.known)
