"""The built-in tasks under their names; those of plugins are added by `plugins.add_commands`, where they are needed."""

from __future__ import annotations

from invoke.collection import Collection

from remediation.cli import catalogue, checking, inventory_queries, looking, monitor, running, runs, writing

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
    writing.lint,
    writing.schema,
    monitor.monitor,
)
