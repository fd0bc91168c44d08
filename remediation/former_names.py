"""Former names of the modules below `connections` and `facets`, for scripts that were written before the folders were grouped.

An import by a former name works until version 0.2 and warns with its new name.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

FORMER: Mapping[str, str] = {
    "remediation.connections.base": "remediation.connections.calls",
    "remediation.connections.child": "remediation.connections.worker.local_process",
    "remediation.connections.open": "remediation.connections.factory",
    "remediation.connections.talk": "remediation.connections.worker.session",
    "remediation.connections.wire": "remediation.connections.worker.protocol",
    "remediation.connections.channel": "remediation.connections.worker.transport",
    "remediation.connections.bootstrap": "remediation.connections.worker.bootstrap",
    "remediation.connections.cassette": "remediation.connections.recorder.cassette",
    "remediation.connections.replay": "remediation.connections.recorder.replay",
    "remediation.facets.look": "remediation.facets.snapshot",
    "remediation.facets.open": "remediation.facets.host_factory",
    "remediation.facets.nvidia": "remediation.facets.gpu.nvidia_smi",
    "remediation.facets.generation": "remediation.facets.ollama.generate",
    "remediation.facets.request_log": "remediation.facets.ollama.request_log",
    "remediation.facets.desktop": "remediation.facets.machine.session",
    "remediation.facets.docker_desktop": "remediation.facets.machine.docker_desktop",
    "remediation.facets.files": "remediation.facets.machine.files",
    "remediation.facets.processes": "remediation.facets.machine.processes",
    "remediation.facets.readiness": "remediation.facets.machine.readiness",
    "remediation.facets.rights": "remediation.facets.machine.rights",
    "remediation.facets.system": "remediation.facets.machine.system",
    "remediation.facets.user_task": "remediation.facets.machine.user_task",
}
"""Present module by former module."""
RENAMED: Mapping[str, Mapping[str, str]] = {
    "remediation.facets.snapshot": {"Look": "Snapshot"},
    "remediation.facets.machine.files": {"Files": "HostFiles", "FilesWriter": "HostFilesWriter"},
    "remediation.facets.machine.readiness": {
        "windows": "windows_readiness",
        "posix": "posix_readiness",
        "from_probe": "readiness_from_probe",
    },
}
"""Present name by former name, for each present module."""


class _FormerModule(ModuleType):
    """A module under its former name. Attributes are those of the present module."""

    def __getattr__(self, name: str) -> Any:
        present = FORMER[self.__name__]
        return getattr(importlib.import_module(present), RENAMED.get(present, {}).get(name, name))


class FormerNames(MetaPathFinder, Loader):
    """Finds modules by their former names. Comes last on `sys.meta_path`, so it costs other imports nothing."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return a specification for a former name."""
        return ModuleSpec(fullname, self) if fullname in FORMER else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return a module that passes attributes on."""
        return _FormerModule(spec.name, f"Former name of {FORMER[spec.name]}.")

    def exec_module(self, module: ModuleType) -> None:
        """Import the present module, warn, and offer its names to ``import *``."""
        present = importlib.import_module(FORMER[module.__name__])
        warnings.warn(
            f"{module.__name__} is {present.__name__} now; the former name goes with version 0.2",
            DeprecationWarning,
            stacklevel=2,
        )
        names = (name for name in vars(present) if not name.startswith("_"))
        module.__dict__["__all__"] = [*names, *RENAMED.get(present.__name__, ())]


def find_former_names() -> None:
    """Let imports find modules by their former names."""
    if not any(isinstance(finder, FormerNames) for finder in sys.meta_path):
        sys.meta_path.append(FormerNames())
