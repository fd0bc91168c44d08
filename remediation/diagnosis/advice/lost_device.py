"""The lasting cure of a container that loses the card after a daemon-reload, by what its engine can do."""

# NVIDIA container toolkit, troubleshooting: "Containers losing access to GPUs"; moby daemon/devices_nvidia_linux.go for 29.2
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediation.diagnosis.versions import at_least, parse_version
from remediation.model.facts import EngineFacts

_CARD = "nvidia.com/gpu"
_ALL = f"{_CARD}=all"
_NODES = "/dev/nvidiactl, /dev/nvidia0, /dev/nvidia-uvm and /dev/nvidia-uvm-tools (ls /dev/nvidia* lists them)"
_ASKS_CDI, _BY_ITSELF = "25.0", "29.2"
"""Docker takes CDI names from the first release on (if it is enabled), and uses CDI for --gpus from the second one on."""
_JIT = "1.18"
"""From this release of the toolkit on, the runtime nvidia passes the card in by CDI."""


def keeps_card(engine: EngineFacts, host_config: Mapping[str, Any]) -> bool:
    """Whether a daemon-reload leaves the card to this container: by the cgroup driver, CDI, or device files by name."""
    if engine.cgroup_driver == "cgroupfs" or _by_cdi(host_config):
        return True
    named = {str(each.get("PathOnHost")) for each in host_config.get("Devices") or ()}
    return {"/dev/nvidiactl", "/dev/nvidia-uvm"} <= named


def lasting_cure(engine: EngineFacts, host_config: Mapping[str, Any], *, service: str = "", toolkit: str = "") -> str:
    """Return what keeps the card in the container, "" if nothing more is needed.

    Args:
      host_config: The container's ``HostConfig``.
      service: The Compose service, "" without Compose.
      toolkit: The release of NVIDIA's container toolkit, "" if it is unknown.
    """
    if keeps_card(engine, host_config):
        return ""
    version = parse_version(engine.version)
    listed = any(one.startswith(_CARD) for one in engine.cdi_devices)
    if listed and at_least(version, _BY_ITSELF):
        return (
            f"recreate the container: Docker {engine.version} passes the card in by CDI now, which a daemon-reload leaves alone"
        )
    if listed and at_least(version, _ASKS_CDI) is not False:
        if service:
            return (
                f"let {service} request the card by CDI (in its reservation driver: cdi and device_ids: [{_ALL}] in place of driver: nvidia and "
                "count), then docker compose up -d"
            )
        return f"recreate the container with --device {_ALL} in place of --gpus"
    if "nvidia" in engine.runtimes and at_least(parse_version(toolkit), _JIT):
        if service:
            return f"set runtime: nvidia for {service} in place of its reservation (toolkit {toolkit} uses CDI for it), then docker compose up -d"
        return f"recreate the container with --runtime nvidia -e NVIDIA_VISIBLE_DEVICES=all in place of --gpus (toolkit {toolkit} uses CDI for it)"
    if service:
        return f"name the device files under devices: of {service}, in addition to its reservation: {_NODES}; then docker compose up -d"
    return f"recreate the container with --device for each of {_NODES}, in addition to --gpus; container.recreated does so"


def _by_cdi(host_config: Mapping[str, Any]) -> bool:
    return any(str(each.get("Driver")) == "cdi" for each in host_config.get("DeviceRequests") or ())
