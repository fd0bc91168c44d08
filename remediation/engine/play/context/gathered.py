"""A host's gathered facts as variables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from remediation.engine.play.context.host_state import HostState

FACTS, PREFIX, LOCAL = "ansible_facts", "ansible_", "ansible_local"
INJECTED = frozenset(
    f"ansible_{name}"
    for name in (
        "all_ipv4_addresses", "all_ipv6_addresses", "architecture", "bios_version", "date_time", "default_ipv4", "default_ipv6", "devices",
        "distribution", "distribution_major_version", "distribution_release", "distribution_version", "dns", "domain", "env", "fqdn",
        "gpu", "hostname", "interfaces", "kernel", "kernel_version", "local", "lsb", "machine", "machine_id", "memfree_mb", "memory_mb",
        "memtotal_mb", "mounts", "nodename", "ollama", "os_family", "os_name", "pkg_mgr", "powershell_version", "processor",
        "processor_cores", "processor_count", "processor_nproc", "processor_threads_per_core", "processor_vcpus", "product_name", "python",
        "python_version", "selinux", "service_mgr", "swaptotal_mb", "system", "system_vendor", "uptime_seconds", "user_dir", "user_gid",
        "user_id", "user_shell", "user_uid", "userspace_bits", "virtualization_role", "virtualization_type",
    )
)  # fmt: skip
"""Facts that are gathered when a template reads them in a play that does not say ``gather_facts``."""


def fact_name(variable: str) -> str:
    """Return a fact's name in ``ansible_facts``; ``ansible_local`` keeps its prefix, as in Ansible."""
    return variable if variable == LOCAL else variable.removeprefix(PREFIX)


class FactVariables(Mapping[str, Any]):
    """A host's gathered facts: ``ansible_facts``, and each fact under its own name.

    If ``gather`` is set, they are gathered when the first one is read.
    """

    def __init__(self, host: HostState, *, own: bool = True) -> None:
        self._host, self._own = host, own

    def _all(self) -> Mapping[str, Any]:
        host = self._host
        if not host.gathered and self._own and host.gather is not None:
            gather, host.gather = host.gather, None
            host.gathered.update(gather())
        return host.gathered

    def _lazy(self) -> bool:
        return self._own and not self._host.gathered and self._host.gather is not None

    def __getitem__(self, name: str) -> Any:
        if name == FACTS:
            return LazyFacts(self._all) if self._lazy() else {fact_name(key): value for key, value in self._all().items()}
        return self._all()[name]

    def __contains__(self, name: object) -> bool:
        if name == FACTS or name in self._host.gathered:
            return True
        return name in INJECTED and self._lazy() and name in self._all()

    def __iter__(self) -> Iterator[str]:
        return iter((FACTS, *(name for name in self._host.gathered if name.startswith(PREFIX))))

    def __len__(self) -> int:
        return len(list(iter(self)))


class LazyFacts(Mapping[str, Any]):
    """``ansible_facts`` before a fact has been read: reading one gathers all."""

    def __init__(self, gather: Callable[[], Mapping[str, Any]]) -> None:
        self._gather = gather

    @cached_property
    def _facts(self) -> Mapping[str, Any]:
        return {fact_name(key): value for key, value in self._gather().items()}

    def __getitem__(self, name: str) -> Any:
        return self._facts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)
