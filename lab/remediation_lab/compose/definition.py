"""One service's definition, checked and brought into the form that `docker compose config` prints."""

from __future__ import annotations

import ntpath
import re
import shlex
from collections.abc import Mapping
from typing import Any

from remediation_lab.wire import Json

_KEYS = frozenset(
    [
        "annotations",
        "attach",
        "blkio_config",
        "build",
        "cap_add",
        "cap_drop",
        "cgroup",
        "command",
        "configs",
        "container_name",
        "cpus",
        "cpu_shares",
        "cpuset",
        "depends_on",
        "deploy",
        "develop",
        "device_cgroup_rules",
        "devices",
        "dns",
        "dns_search",
        "domainname",
        "entrypoint",
        "env_file",
        "environment",
        "expose",
        "extends",
        "external_links",
        "extra_hosts",
        "gpus",
        "group_add",
        "healthcheck",
        "hostname",
        "image",
        "init",
        "ipc",
        "isolation",
        "labels",
        "links",
        "logging",
        "mac_address",
        "mem_limit",
        "mem_reservation",
        "memswap_limit",
        "network_mode",
        "networks",
        "oom_kill_disable",
        "oom_score_adj",
        "pid",
        "pids_limit",
        "platform",
        "ports",
        "privileged",
        "profiles",
        "pull_policy",
        "read_only",
        "restart",
        "runtime",
        "scale",
        "secrets",
        "security_opt",
        "shm_size",
        "stdin_open",
        "stop_grace_period",
        "stop_signal",
        "storage_opt",
        "sysctls",
        "tmpfs",
        "tty",
        "ulimits",
        "user",
        "userns_mode",
        "uts",
        "volumes",
        "volumes_from",
        "working_dir",
    ]
)
_FORMS: Mapping[str, tuple[type, ...]] = {
    "environment": (dict, list), "labels": (dict, list), "depends_on": (dict, list), "deploy": (dict,), "ports": (list,), "volumes": (list,),
}  # fmt: skip
_SIZES = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


class ServiceError(Exception):
    """A definition that Compose refuses, in its words."""


class _Service:
    """How one service is read."""

    def check(self, name: str, raw: Mapping[str, Any]) -> None:
        """Check one file's part of a service; raises ServiceError."""
        for key in raw:
            if key not in _KEYS and not str(key).startswith("x-"):
                raise ServiceError(f"services.{name} additional properties '{key}' not allowed")
        for key, forms in _FORMS.items():
            value = raw.get(key)
            if value is not None and not isinstance(value, forms):
                raise ServiceError(f"services.{name}.{key} must be a {'list' if forms == (list,) else 'mapping'}")
        for index, device in enumerate(_devices(raw)):
            if not isinstance(device, Mapping) or "capabilities" not in device:
                at = f"services.{name}.deploy.resources.reservations.devices.{index}"
                raise ServiceError(f"{at} missing property 'capabilities'")

    def resolve(self, name: str, raw: Mapping[str, Any], folder: str) -> dict[str, Any]:
        """Return the resolved service; raises ServiceError."""
        if not raw.get("image") and not raw.get("build"):
            raise ServiceError(f'service "{name}" has neither an image nor a build context specified: invalid compose project')
        done: dict[str, Any] = {}
        for key in sorted({*raw, "command", "entrypoint", "networks"}):
            value = raw.get(key)
            read = getattr(self, f"_{key}", None)
            done[key] = read(name, value, folder) if read and value is not None else value
        if raw.get("networks") is None:
            done["networks"] = {"default": None}
        if raw.get("network_mode"):
            del done["networks"]
        return done

    def _command(self, _name: str, value: Json, _folder: str) -> list[str]:
        return [str(each) for each in value] if isinstance(value, list) else shlex.split(str(value))

    _entrypoint = _command

    def _environment(self, _name: str, value: Json, _folder: str) -> dict[str, str | None]:
        pairs = value if isinstance(value, Mapping) else dict(str(each).partition("=")[::2] for each in value)
        return {key: None if pairs[key] is None else _text(pairs[key]) for key in sorted(pairs)}

    def _labels(self, name: str, value: Json, folder: str) -> dict[str, str | None]:
        return self._environment(name, value, folder)

    def _depends_on(self, _name: str, value: Json, _folder: str) -> dict[str, dict[str, Any]]:
        named = value if isinstance(value, Mapping) else {each: {} for each in value}
        return {other: {"condition": "service_started", "required": True, **(rule or {})} for other, rule in named.items()}

    def _ports(self, name: str, value: Json, _folder: str) -> list[dict[str, Any]]:
        ports = []
        for each in value:
            if isinstance(each, Mapping):
                ports.append({"mode": "ingress", "protocol": "tcp", **each, "published": str(each.get("published", ""))})
                continue
            found = re.fullmatch(r"(?:(?:(?P<ip>[\d.]+):)?(?P<host>\d+):)?(?P<port>\d+)(?:/(?P<protocol>tcp|udp))?", str(each))
            if not found:
                raise ServiceError(f"services.{name}.ports: invalid proto: {each}")
            port: dict[str, Any] = {"mode": "ingress"}
            if found["ip"]:
                port["host_ip"] = found["ip"]
            port["target"] = int(found["port"])
            if found["host"]:
                port["published"] = found["host"]
            ports.append({**port, "protocol": found["protocol"] or "tcp"})
        return ports

    def _volumes(self, _name: str, value: Json, folder: str) -> list[dict[str, Any]]:
        mounts = []
        for each in value:
            if isinstance(each, Mapping):
                mounts.append(dict(each))
                continue
            found = re.fullmatch(r"(?:(?P<source>(?:[A-Za-z]:[\\/])?[^:]*):)?(?P<target>/[^:]*)(?::(?P<mode>\w+))?", str(each))
            source, target = (found["source"] or "", found["target"]) if found else (str(each), "")
            if re.match(r"[./\\~]|[A-Za-z]:[\\/]", source):
                full = ntpath.normpath(ntpath.join(folder, source))
                mounts.append({"type": "bind", "source": full, "target": target, "bind": {"create_host_path": True}})
            else:
                mounts.append({"type": "volume", "source": source, "target": target, "volume": {}})
        return mounts

    def _gpus(self, _name: str, value: Json, _folder: str) -> list[dict[str, Any]]:
        return [{"count": -1}] if value == "all" else [{"count": -1, **each} for each in value]

    def _deploy(self, name: str, value: Json, _folder: str) -> dict[str, Any]:
        resources = value.get("resources") or {}
        done: dict[str, Any] = {}
        for kind in ("limits", "reservations"):
            if kind in resources:
                done[kind] = self._resources(name, kind, resources[kind])
        rest = {key: each for key, each in value.items() if key != "resources"}
        return {**rest, "resources": done, "placement": {}}

    def _resources(self, name: str, kind: str, raw: Mapping[str, Any]) -> dict[str, Any]:
        done: dict[str, Any] = {}
        if "cpus" in raw:
            cpus = float(raw["cpus"])
            done["cpus"] = int(cpus) if cpus.is_integer() else cpus
        if "memory" in raw:
            done["memory"] = str(size(raw["memory"], f"services[{name}].deploy.resources.{kind}.memory"))
        if raw.get("devices"):
            done["devices"] = [_device(name, each) for each in raw["devices"]]
        return done


def _device(name: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    if "count" in raw and "device_ids" in raw:
        at = f"services.{name}.deploy.resources.reservations.devices.[]"
        raise ServiceError(f'{at}: "count" and "device_ids" attributes are exclusive')
    done: dict[str, Any] = {"capabilities": list(raw["capabilities"])}
    if "driver" in raw:
        done["driver"] = raw["driver"]
    if "device_ids" in raw:
        done["device_ids"] = [str(each) for each in raw["device_ids"]]
    else:
        done["count"] = -1 if raw.get("count", "all") == "all" else int(raw["count"])
    return done


def _devices(raw: Mapping[str, Any]) -> list[Any]:
    part: Any = raw
    for key in ("deploy", "resources", "reservations", "devices"):
        part = (part or {}).get(key) if isinstance(part, Mapping) else None
    return part if isinstance(part, list) else []


def size(value: Json, at: str) -> int:
    """Read a size like ``12G``; raises ServiceError."""
    found = re.fullmatch(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[bkmgt]?)(?:i?b)?", str(value).strip().lower())
    if not found:
        raise ServiceError(f"decoding failed due to the following error(s):\n\n'{at}' invalid size: '{value}'\n")
    return int(float(found["number"]) * _SIZES[found["unit"]])


def _text(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


service = _Service()
