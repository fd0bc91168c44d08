"""The tasks under their names: what ``tasks.py`` and the installed program share."""

from __future__ import annotations

from invoke.collection import Collection

from remediation.cli import catalogue, looking

namespace = Collection(looking.diagnose, catalogue.steps)
