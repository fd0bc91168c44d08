"""The engine's records of containers, inspect and ps, with the keys and types of the real ones."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from remediation_lab.programs.docker.formats import ago, created_at, instant
from remediation_lab.world.engine import IMAGE_ENVIRONMENT, is_ollama
from remediation_lab.world.state import Container

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

_MASKED = ["asound", "acpi", "interrupts", "kcore", "keys", "latency_stats", "timer_list", "timer_stats", "sched_debug", "scsi"]


def image_id(image: str) -> str:
    """Return a digest for an image."""
    return "sha256:" + hashlib.sha256(image.encode()).hexdigest()


def command(container: Container) -> list[str]:
    """Return what runs in a container."""
    entry = container.definition.get("entrypoint") or (["/bin/ollama"] if is_ollama(container.image) else [])
    words = container.definition.get("command") or (["serve"] if entry == ["/bin/ollama"] else [])
    return [*entry, *words] or ["/bin/sh"]


def inspect(machine: Machine, container: Container) -> dict[str, Any]:
    """Return one container's record."""
    words, definition = command(container), container.definition
    return {
        "Id": container.id,
        "Created": instant(container.created),
        "Path": words[0],
        "Args": words[1:],
        "State": {
            "Status": container.status,
            "Running": container.running,
            "Paused": False,
            "Restarting": False,
            "OOMKilled": container.oom_killed,
            "Dead": False,
            "Pid": container.pid,
            "ExitCode": container.exit_code,
            "Error": container.error,
            "StartedAt": instant(container.started),
            "FinishedAt": instant(container.finished),
        },
        "Image": image_id(container.image),
        "ResolvConfPath": f"/var/lib/docker/containers/{container.id}/resolv.conf",
        "HostnamePath": f"/var/lib/docker/containers/{container.id}/hostname",
        "HostsPath": f"/var/lib/docker/containers/{container.id}/hosts",
        "LogPath": f"/var/lib/docker/containers/{container.id}/{container.id}-json.log",
        "Name": f"/{container.name}",
        "RestartCount": container.restarts,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": None,
        "HostConfig": _host_config(machine, container),
        "GraphDriver": {"Data": dict.fromkeys(("LowerDir", "MergedDir", "UpperDir", "WorkDir"), "/var/lib/docker/overlay2/x"), "Name": "overlay2"},
        "Mounts": [_mount(name, target) for name, target in machine.engine.mounts(container)],
        "Config": {
            "Hostname": container.id[:12],
            "Domainname": "",
            "User": "",
            "AttachStdin": False,
            "AttachStdout": True,
            "AttachStderr": True,
            "ExposedPorts": {"11434/tcp": {}},
            "Tty": False,
            "OpenStdin": False,
            "StdinOnce": False,
            "Env": [f"{key}={value}" for key, value in _ordered(container).items()],
            "Cmd": definition.get("command") or (["serve"] if is_ollama(container.image) and not definition.get("entrypoint") else None),
            "Image": container.image,
            "Volumes": None,
            "WorkingDir": "",
            "Entrypoint": definition.get("entrypoint") or (["/bin/ollama"] if is_ollama(container.image) else None),
            "OnBuild": None,
            "Labels": shown_labels(container),
        },
        "NetworkSettings": _network(container),
    }  # fmt: skip


def shown_labels(container: Container) -> dict[str, str]:
    """Return the labels in the engine's order."""
    return {key: container.labels[key] for key in sorted(container.labels)}


def _ordered(container: Container) -> dict[str, str]:
    # the engine lists the requested variables first, then those of the image
    own = IMAGE_ENVIRONMENT if is_ollama(container.image) else {}
    own_values = {key: value for key, value in container.environment.items() if own.get(key) != value}
    return {**own_values, **container.environment}


def _resources(container: Container, kind: str) -> dict[str, Any]:
    return dict(((container.definition.get("deploy") or {}).get("resources") or {}).get(kind) or {})


def _host_config(machine: Machine, container: Container) -> dict[str, Any]:
    limits, reserved = _resources(container, "limits"), _resources(container, "reservations")
    memory = int(limits.get("memory", 0))
    names = {
        **dict.fromkeys(
            ["CapAdd", "CapDrop", "Dns", "DnsOptions", "DnsSearch", "GroupAdd", "Links", "VolumesFrom", "SecurityOpt"]
        )
    }
    zeros = dict.fromkeys(
        ["CpuShares", "BlkioWeight", "CpuPeriod", "CpuQuota", "CpuRealtimePeriod", "CpuRealtimeRuntime", "CpuCount", "CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth", "OomScoreAdj"], 0
    )  # fmt: skip
    blanks = dict.fromkeys(
        [
            "ContainerIDFile",
            "VolumeDriver",
            "Cgroup",
            "PidMode",
            "UTSMode",
            "UsernsMode",
            "Isolation",
            "CgroupParent",
            "CpusetCpus",
            "CpusetMems",
        ],
        "",
    )
    nothing = dict.fromkeys(
        [
            "BlkioWeightDevice",
            "BlkioDeviceReadBps",
            "BlkioDeviceWriteBps",
            "BlkioDeviceReadIOps",
            "BlkioDeviceWriteIOps",
            "Devices",
            "DeviceCgroupRules",
            "MemorySwappiness",
            "PidsLimit",
            "Ulimits",
        ]
    )
    return {
        "Binds": [f"{name}:{target}:rw" for name, target in machine.engine.mounts(container)],
        "LogConfig": {"Type": "json-file", "Config": {}},
        "NetworkMode": f"{container.labels.get('com.docker.compose.project', 'bridge')}_default",
        "PortBindings": _published(container, bound=False),
        "RestartPolicy": {"Name": container.definition.get("restart") or "no", "MaximumRetryCount": 0},
        "AutoRemove": False,
        **names,
        "CgroupnsMode": "host",
        "ExtraHosts": [],
        "IpcMode": "private",
        "Privileged": False,
        "PublishAllPorts": False,
        "ReadonlyRootfs": False,
        **blanks,
        "ShmSize": 67108864,
        "Runtime": "runc",
        "ConsoleSize": [0, 0],
        **zeros,
        "Memory": memory,
        "NanoCpus": int(float(limits.get("cpus", 0)) * 1e9),
        **nothing,
        "DeviceRequests": [_request(each) for each in container.gpu_requests] or None,
        "MemoryReservation": int(reserved.get("memory", 0)),
        "MemorySwap": memory * 2,
        "OomKillDisable": False,
        "MaskedPaths": [f"/proc/{each}" for each in _MASKED] + ["/sys/firmware", "/sys/devices/virtual/powercap"],
        "ReadonlyPaths": [f"/proc/{each}" for each in ("bus", "fs", "irq", "sys", "sysrq-trigger")],
    }


def _request(device: dict[str, Any]) -> dict[str, Any]:
    return {
        "Driver": device.get("driver", ""),
        "Count": device.get("count", 0),
        "DeviceIDs": device.get("device_ids"),
        "Capabilities": [device["capabilities"]],
        "Options": device.get("options") or {},
    }


def _published(container: Container, *, bound: bool) -> dict[str, list[dict[str, str]] | None]:
    ports: dict[str, list[dict[str, str]] | None] = {}
    for each in container.definition.get("ports") or ():
        hosts = ("0.0.0.0", "::") if bound else ("",)  # what docker prints, nothing is bound
        ports[f"{each['target']}/{each['protocol']}"] = [
            {"HostIp": each.get("host_ip", host), "HostPort": str(each["published"])} for host in hosts
        ]
    if bound and not ports and is_ollama(container.image):
        ports["11434/tcp"] = None
    return ports


def _mount(name: str, target: str) -> dict[str, Any]:
    return {
        "Type": "volume", "Name": name, "Source": f"/var/lib/docker/volumes/{name}/_data", "Destination": target,
        "Driver": "local", "Mode": "rw", "RW": True, "Propagation": "",
    }  # fmt: skip


def _network(container: Container) -> dict[str, Any]:
    up = container.running
    name = f"{container.labels.get('com.docker.compose.project', 'bridge')}_default"
    own = {
        "Gateway": "172.18.0.1" if up else "", "IPAddress": f"172.18.0.{container.address}" if up else "", "IPPrefixLen": 16 if up else 0,
        "MacAddress": f"02:42:ac:12:00:{container.address:02x}" if up else "",
    }  # fmt: skip
    empty = {
        "EndpointID": "",
        "Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "IPAddress": "",
        "IPPrefixLen": 0,
    }
    service = container.labels.get("com.docker.compose.service", container.name)
    return {
        "Bridge": "", "SandboxID": container.id[::-1] if up else "", "HairpinMode": False, "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0, "Ports": _published(container, bound=True) if up else {},
        "SandboxKey": f"/var/run/docker/netns/{container.id[:12]}" if up else "", "SecondaryIPAddresses": None, "SecondaryIPv6Addresses": None,
        **empty, "IPv6Gateway": "", "MacAddress": "",
        "Networks": {
            name: {
                "IPAMConfig": None, "Links": None, "Aliases": [container.name, service], "NetworkID": image_id(name)[7:],
                "EndpointID": container.id[::-1] if up else "", "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0,
                **own, "DriverOpts": None,
            }
        },
    }  # fmt: skip


def ps(machine: Machine, container: Container, *, full: bool) -> dict[str, Any]:
    """Return a line of `docker ps --format json`."""
    now = machine.clock.now()
    mounts = ",".join(name for name, _ in machine.engine.mounts(container))
    return {
        "Command": f'"{" ".join(command(container))}"',
        "CreatedAt": created_at(container.created),
        "ID": container.id if full else container.id[:12],
        "Image": container.image,
        "Labels": ",".join(f"{key}={value}" for key, value in shown_labels(container).items()),
        "LocalVolumes": str(len(machine.engine.mounts(container))),
        "Mounts": mounts if full or len(mounts) <= 15 else f"{mounts[:14]}…",  # docker's own limit
        "Names": container.name,
        "Networks": f"{container.labels.get('com.docker.compose.project', 'bridge')}_default",
        "Platform": None,
        "Ports": ports(container),
        "RunningFor": f"{ago(now - container.created)} ago",
        "Size": "0B",
        "State": container.status,
        "Status": status(container, now),
    }


def ports(container: Container) -> str:
    """Return the PORTS column."""
    if not container.running:
        return ""
    shown: list[str] = []
    for port, bound in _published(container, bound=True).items():
        shown.extend(f"{'[::]' if each['HostIp'] == '::' else each['HostIp']}:{each['HostPort']}->{port}" for each in bound or ())
        if not bound:
            shown.append(port)
    return ", ".join(shown)


def status(container: Container, now: float) -> str:
    """Return the STATUS column."""
    if container.running:
        return f"Up {ago(now - container.started)}"
    if container.status == "exited":
        return f"Exited ({container.exit_code}) {ago(now - container.finished)} ago"
    return container.status.capitalize()


def compose_ps(machine: Machine, container: Container) -> dict[str, Any]:
    """Return a line of `docker compose ps --format json`."""
    line = ps(machine, container, full=False)
    del line["Platform"]
    publishers = [
        {
            "URL": each["HostIp"],
            "TargetPort": int(port.partition("/")[0]),
            "PublishedPort": int(each["HostPort"]),
            "Protocol": port.partition("/")[2],
        }
        for port, bound in (_published(container, bound=True) if container.running else {}).items()
        for each in bound or ({"HostIp": "", "HostPort": "0"},)
    ]
    more = {
        "ExitCode": container.exit_code, "Health": "", "Name": container.name, "Project": container.labels.get("com.docker.compose.project", ""),
        "Publishers": publishers, "Service": container.labels.get("com.docker.compose.service", ""),
    }  # fmt: skip
    return dict(sorted({**line, **more}.items(), key=lambda pair: (pair[0].lower(), pair[0])))
