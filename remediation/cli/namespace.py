"""The tasks under their names: what ``tasks.py`` and the installed program share."""

from __future__ import annotations

from invoke.collection import Collection

from remediation.cli.commands import check_host, diagnose, history, inventory, lab, lint, monitor, play, steps

namespace = Collection(
    play.fix_offload,
    diagnose.diagnose,
    play.verify,
    play.play,
    history.apply,
    history.resume,
    history.undo,
    history.history,
    history.show,
    check_host.check_host,
    inventory.hosts,
    inventory.variables,
    steps.steps,
    lint.lint,
    lint.schema,
    monitor.monitor,
)
namespace.add_collection(Collection("lab", lab.start, lab.stop, lab.fault, lab.reset, lab.status))
