"""The tasks under their names: what ``tasks.py`` and the installed program share."""

from __future__ import annotations

from invoke.collection import Collection

from remediation.cli import catalogue, checking, inventory_queries, lab, looking, monitor, running, runs, writing

namespace = Collection(
    running.fix_offload,
    looking.diagnose,
    running.verify,
    running.play,
    runs.apply,
    runs.resume,
    runs.undo,
    runs.history,
    runs.show,
    checking.check_host,
    inventory_queries.hosts,
    inventory_queries.variables,
    catalogue.steps,
    catalogue.explain,
    writing.lint,
    writing.schema,
    monitor.monitor,
)
namespace.add_collection(Collection("lab", lab.start, lab.stop, lab.fault, lab.reset, lab.status))
