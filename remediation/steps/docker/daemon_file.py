"""The settings of a Docker daemon: changing single keys of ``daemon.json``, and which of them a reload takes over (dockerd)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from remediation.model.errors import CallFailed
from remediation.model.facts import DaemonFacts, EngineFacts
from remediation.model.text.json_text import load_json

RELOADED = frozenset({
    "debug", "default-runtime", "features", "insecure-registries", "labels", "live-restore", "max-concurrent-downloads", "max-concurrent-uploads",
    "max-download-attempts", "registry-mirrors", "runtimes", "shutdown-timeout",
})  # fmt: skip
"""Keys that a reload takes over (moby daemon/reload.go); all others need a restart."""
_BUILT_IN = frozenset({"runc", "io.containerd.runc.v2", "io.containerd.runtime.v1.linux"})
DEFAULTS: Mapping[str, Any] = {
    "debug": False, "default-runtime": "runc", "features": {}, "insecure-registries": [], "labels": [], "live-restore": False,
    "registry-mirrors": [], "runtimes": {},
}  # fmt: skip
"""Values with which a reload undoes a key."""
_FLAGS = {
    "hosts": {"host", "H"}, "runtimes": set(), "labels": {"label"}, "exec-opts": {"exec-opt"}, "registry-mirrors": {"registry-mirror"},
    "insecure-registries": {"insecure-registry"}, "storage-opts": {"storage-opt"}, "log-opts": {"log-opt"}, "dns": {"dns"}, "debug": {"debug", "D"},
    "data-root": {"data-root", "g"}, "group": {"group", "G"}, "pidfile": {"pidfile", "p"}, "storage-driver": {"storage-driver", "s"}, "bridge": {"bridge", "b"},
    "log-level": {"log-level", "l"}, "default-address-pools": {"default-address-pool"},
}  # fmt: skip
"""The flags of keys that are named differently. A key may not be given in both places, except ``runtimes`` (moby daemon/config)."""


def parse_daemon_file(daemon: DaemonFacts, host: str) -> dict[str, Any]:
    """Return the keys of the daemon's file. Raises `CallFailed` if it is not a JSON object."""
    if daemon.text is None or not daemon.text.strip():
        return {}
    try:
        value = load_json(daemon.text)
    except ValueError as error:
        value, why = None, str(error)
    else:
        why = "it is not an object"
    if not isinstance(value, dict):
        raise CallFailed(
            f"{daemon.config} is not valid JSON: {why}", host=host, next_step=f"correct {daemon.config} or restore its backup"
        )
    return dict(value)


def changed_keys(keys: Mapping[str, Any], put: Mapping[str, Any], removed: Sequence[str]) -> dict[str, Any]:
    """Return the keys with `put` added and `removed` left out. Mappings are merged, so that other runtimes and features are kept.

    A name with a dot (``features.cdi``) removes a key inside a mapping.
    """
    found = {name: dict(value) if isinstance(value, Mapping) else value for name, value in keys.items()}
    for name in removed:
        outer, dot, inner = name.partition(".")
        if dot and isinstance(found.get(outer), dict):
            found[outer].pop(inner, None)
            if not found[outer]:
                del found[outer]
        elif not dot:
            found.pop(name, None)
    for name, value in put.items():
        old = found.get(name)
        found[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, Mapping) else value
    return found


def daemon_text(keys: Mapping[str, Any]) -> str:
    """Return the file's text, as ``nvidia-ctk`` writes it: indented by four blanks."""
    return json.dumps(keys, indent=4, ensure_ascii=False) + "\n"


def conflicts(keys: Mapping[str, Any], daemon: DaemonFacts) -> list[str]:
    """Return the keys that are also given as a flag, with which the daemon would not start."""
    return [name for name in keys if daemon.flag_names & _FLAGS.get(name, {name})]


def needs_restart(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether a reload does not take over all differences. A removed key keeps its value unless a reload sets its default."""
    names = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    return not names <= RELOADED or not {name for name in names if name not in after} <= DEFAULTS.keys()


def with_defaults(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return `after` with the defaults of the keys that it no longer has. A reload only takes over keys that are in the file."""
    return {**after, **{name: DEFAULTS[name] for name in before if name not in after and name in DEFAULTS}}


def not_effective(keys: Mapping[str, Any], engine: EngineFacts) -> list[str]:
    """Return the keys of the file that the running engine reports differently. Keys that it does not report count as effective."""
    found = []
    runtimes = keys.get("runtimes")
    if runtimes == {} and any(name not in _BUILT_IN for name in engine.runtimes):
        found.append("runtimes")
    if isinstance(runtimes, Mapping):
        found += [f"runtimes.{name}" for name in runtimes if name not in engine.runtimes]
    if isinstance(keys.get("live-restore"), bool) and keys["live-restore"] != engine.live_restore:
        found.append("live-restore")
    if keys.get("default-runtime") and engine.default_runtime and keys["default-runtime"] != engine.default_runtime:
        found.append("default-runtime")
    options = keys.get("exec-opts")
    for option in options if isinstance(options, list) else ():
        name, _, value = str(option).partition("=")
        if name == "native.cgroupdriver" and engine.cgroup_driver and value != engine.cgroup_driver:
            found.append("exec-opts")
    return found
