"""The tasks under their names: what ``tasks.py`` and the installed program share."""

from __future__ import annotations

from invoke.collection import Collection

from remediation.cli import catalogue, lab, looking, monitor, running, runs

namespace = Collection(
    running.fix_offload, looking.diagnose, running.play, monitor.monitor, runs.history, runs.show, catalogue.steps
)
namespace.add_collection(Collection("lab", lab.start, lab.stop, lab.fault, lab.reset, lab.status))
