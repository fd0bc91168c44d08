"""Gathers a host's facts: the calls of one exchange, and their replies as Ansible's ``ansible_facts``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from remediation.connections.calls import Call, Completed, Connection, Failed, Http, HttpReply, Probe, ProbeReply, Reply, Run
from remediation.facets.facts.posix import facts_from_shell
from remediation.facets.facts.windows import facts_from_probe
from remediation.facets.scripts import shell
from remediation.model.errors import CallFailed, ParameterError
from remediation.model.text.digits import is_whole
from remediation.model.text.shape import ODD, explain_error

MIN, HARDWARE, NETWORK, VIRTUAL, GPU, OLLAMA = "min", "hardware", "network", "virtual", "gpu", "ollama"
ALL = (MIN, HARDWARE, NETWORK, VIRTUAL, GPU, OLLAMA)
OF_MIN = frozenset(
    {"apparmor", "caps", "cmdline", "date_time", "distribution", "dns", "env", "fips", "local", "lsb", "pkg_mgr", "platform", "python",
     "selinux", "service_mgr", "ssh_pub_keys", "system", "systemd", "user"}
)  # fmt: skip
OF_COLLECTOR: Mapping[str, tuple[str, ...]] = {
    "apparmor": ("apparmor",), "caps": ("system_capabilities*",), "cmdline": ("cmdline", "proc_cmdline"), "date_time": ("date_time",),
    "distribution": ("distribution*", "os_family"), "dns": ("dns",), "env": ("env",), "fips": ("fips",), "local": ("local",), "lsb": ("lsb",),
    "pkg_mgr": ("pkg_mgr",), "python": ("python", ), "selinux": ("selinux*",), "service_mgr": ("service_mgr",),
    "ssh_pub_keys": ("ssh_host_key_*",), "systemd": ("systemd",), "user": ("user_*", "real_*", "effective_*"),
    "platform": ("architecture", "domain", "fqdn", "hostname", "kernel*", "machine*", "nodename", "python_version", "system", "userspace_*"),
}  # fmt: skip
"""Patterns of the facts of each part of the subset ``min``."""

OF_HARDWARE = frozenset({"devices", "dmi", "loadavg", "memory", "mounts", "processor", "processor_cores", "processor_count"})
OF_NETWORK = frozenset(
    {"all_ipv4_addresses", "all_ipv6_addresses", "default_ipv4", "default_ipv6", "fibre_channel_wwn", "interfaces", "iscsi"}
)
OTHERS = frozenset({"chroot", "facter", "ohai", "virtualization_role", "virtualization_tech_guest", "virtualization_type"})
"""Ansible's subsets that read nothing more here."""

OLLAMA_URL = "http://127.0.0.1:11434"
_GROUPS: Mapping[str, str] = {
    **{name: name for name in ALL},
    **dict.fromkeys(OF_MIN, MIN),
    **dict.fromkeys(OF_HARDWARE, HARDWARE),
    **dict.fromkeys(OF_NETWORK, NETWORK),
    **dict.fromkeys(OTHERS, VIRTUAL),
}


def chosen_subsets(given: Sequence[str]) -> tuple[str, ...]:
    """Return the subsets that ``gather_subset`` selects, ``!`` excludes. Raises `UsageError` for an unknown one."""
    found: set[str] = set()
    without: set[str] = set()
    for word in given or ("all",):
        name = word.strip()
        bare = name.removeprefix("!")
        if bare == "all":
            if name == bare:
                found |= set(ALL)
            else:
                without |= set(ALL) - {MIN}
        elif bare not in _GROUPS:
            raise ParameterError(
                f"gather_subset: {bare!r} is not known; use all, {', '.join(ALL)}, or one of these with !",
                f"Bad subset '{bare}' given to Ansible. gather_subset options allowed: {', '.join(sorted({*_GROUPS, 'all'}))}",
            )
        elif name == bare:
            found.add(_GROUPS[bare])
        elif bare in ALL:
            without.add(bare)
    if found & {MIN} and any(word.strip() in OF_COLLECTOR for word in given):
        without.discard(MIN)  # `without_min` keeps the named parts
    positive = any(not word.strip().startswith("!") for word in given)
    if not positive:
        found |= set(ALL)
    if MIN not in without:
        found.add(MIN)
    kept = found - {
        name for name in without if f"!{name}" in {word.strip() for word in given} or name not in found or not positive
    }
    return tuple(name for name in ALL if name in kept)


def without_min(given: Sequence[str], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return `facts`; if ``gather_subset`` excludes ``min``, without its facts except those of the parts that it names."""
    words = {word.strip() for word in given}
    if f"!{MIN}" not in words:
        return dict(facts)
    left_out = [pattern for part, patterns in OF_COLLECTOR.items() if part not in words for pattern in patterns]
    return {name: value for name, value in facts.items() if not any(fnmatchcase(name, pattern) for pattern in left_out)}


def gather_subsets(
    connection: Connection,
    subsets: Sequence[str],
    *,
    fact_path: str = "",
    endpoint: str = "",
    timeout: float = 60.0,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the facts of a host, without the prefix ``ansible_``. Raises `HostError` if the host does not answer.

    A POSIX host gathers them with the variables of ``environment``.
    """
    calls: list[Call]
    if connection.platform == "windows":
        calls = [Probe("facts", {"subsets": list(subsets), "path": fact_path}, timeout=timeout)]
        calls += [Probe("gpu", {"fields": list(GPU_FIELDS)}, timeout=timeout)] if GPU in subsets else []
    else:
        argv = ("sh", "-c", shell("facts"), "facts", f" {' '.join(subsets)} ", fact_path)
        calls = [Run(argv, timeout=timeout, env=environment or {})]
    before = len(calls)
    if OLLAMA in subsets:
        url = (endpoint or OLLAMA_URL).rstrip("/")
        calls += [Http("GET", f"{url}/api/{path}", timeout=5.0) for path in ("version", "ps")]
    replies = connection.exchange(calls)
    facts = _machine(replies[0])
    if connection.platform == "windows" and GPU in subsets:
        facts["gpu"] = _cards_of_probe(replies[1])
    if OLLAMA in subsets:
        facts["ollama"] = _ollama(replies[before:])
    return facts


GPU_FIELDS = ("index", "name", "uuid", "driver_version", "memory.total", "memory.used")


def cards(text: str) -> list[dict[str, Any]]:
    """Return the GPUs of nvidia-smi's CSV; memory in MiB, as in Ansible's ``memtotal_mb``."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != len(GPU_FIELDS) or not is_whole(cells[0]):
            continue
        total, used = (int(cell) if is_whole(cell) else None for cell in cells[4:])
        found.append(
            {
                "index": int(cells[0]),
                "name": cells[1],
                "uuid": cells[2],
                "driver_version": cells[3],
                "memtotal_mb": total,
                "memused_mb": used,
            }
        )
    return found


def _machine(reply: Reply) -> dict[str, Any]:
    try:
        if isinstance(reply, Completed):
            return facts_from_shell(reply.text, cards)
        if isinstance(reply, ProbeReply):
            return facts_from_probe(reply.value)
    except ODD as error:
        raise CallFailed(
            f"cannot parse the answer to facts: {explain_error(error)}",
            next_step="leave the facts out that the playbook does not need: gather_subset: [min], or gather_facts: false",
        ) from None
    message = reply.message if isinstance(reply, Failed) else f"unexpected reply {type(reply).__name__}"
    raise CallFailed(f"facts cannot be read: {message}")


def _cards_of_probe(reply: Reply) -> list[dict[str, Any]]:
    if not isinstance(reply, ProbeReply) or not isinstance(reply.value, Mapping):
        return []
    return cards(str(reply.value.get("stdout") or ""))


def _ollama(replies: Sequence[Reply]) -> dict[str, Any]:
    """Return the fact ``ollama``: whether it answers, its version, and the loaded models."""
    version, loaded = (_json(reply) for reply in replies)
    names = [str(each.get("name")) for each in loaded.get("models") or () if isinstance(each, Mapping)]
    return {"running": bool(version), "version": str(version.get("version") or ""), "models": names}


def _json(reply: Reply) -> Mapping[str, Any]:
    if not isinstance(reply, HttpReply) or reply.status != 200:
        return {}
    try:
        found = json.loads(reply.body)
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}
