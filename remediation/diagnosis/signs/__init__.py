"""Messages that are known to mean something, wherever they were pasted: a vocabulary, no judgement.

Each `Sign` has a needle (a lower-case text that must be in the line: the cheap test) and a pattern. What a sign proves is
for the causes to say; one message may speak for one cause in a container and for another outside.
"""

from __future__ import annotations

from remediation.diagnosis.signs.container import SIGNS as CONTAINER
from remediation.diagnosis.signs.driver import SIGNS as DRIVER
from remediation.diagnosis.signs.library import SIGNS as LIBRARY
from remediation.diagnosis.signs.memory import SIGNS as MEMORY
from remediation.diagnosis.signs.scan import Hit, Scanner, Sign, When
from remediation.diagnosis.signs.store import SIGNS as STORE

SIGNS: tuple[Sign, ...] = (*DRIVER, *CONTAINER, *LIBRARY, *MEMORY, *STORE)

__all__ = ["SIGNS", "Hit", "Scanner", "Sign", "When"]
