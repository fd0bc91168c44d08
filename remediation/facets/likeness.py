"""Whether Compose sees, over this session, the project that its user brought up (design 7).

A remote login has another environment than the user's: a variable that is not set here is silently blank, and ``up`` would
recreate the container with it. So whoever brings a stack up first asks what would change that nobody meant to change.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from remediation.facets.compose import unset
from remediation.facets.containers import pairs, wants_gpu
from remediation.model.facts import Container

_OF_IMAGES = frozenset({"PATH", "HOSTNAME", "HOME", "LANG", "LD_LIBRARY_PATH"})


def refusal(
    warnings: Sequence[str],
    definition: Mapping[str, Any],
    running: Mapping[str, Container],
    *,
    planned: Collection[str] = (),
) -> str:
    """Return why the project must not be brought up from this session, or nothing.

    `running` are the containers by service, `planned` the keys that are meant to change: ``service.environment.NAME``, or a
    whole ``service``.
    """
    missing = unset(warnings)
    if missing:
        return f"Compose says that {_listed(missing)} {'is' if len(missing) == 1 else 'are'} not set in this session"
    found = [
        f"{name}: {each}"
        for name, service in (definition.get("services") or {}).items()
        if name in running and name not in planned
        for key, each in differences(service, running[name]).items()
        if f"{name}.{key}" not in planned
    ]
    if found:
        return f"the definition as this session resolves it differs from what runs: {_listed(found)}"
    return ""


def differences(service: Mapping[str, Any], container: Container) -> dict[str, str]:
    """Return what of a resolved service its container does not have, by key, in words.

    What an image brings, and what Compose adds, is not compared: a variable that the definition does not name counts as the
    image's. Values are not told, they may be secret.
    """
    found = _environment(service.get("environment") or {}, container)
    image = str(service.get("image") or container.image)
    if image != container.image:
        found["image"] = f"image {container.image} would become {image}"
    wanted = {
        (str(each.get("published", "")), f"{each['target']}/{each.get('protocol', 'tcp')}") for each in service.get("ports") or ()
    }
    bound = {(address.rpartition(":")[2], port) for port, addresses in container.ports.items() for address in addresses}
    if wanted and {each for each in wanted if each[0]} != bound:
        found["ports"] = "its published ports would change"
    devices = (((service.get("deploy") or {}).get("resources") or {}).get("reservations") or {}).get("devices") or ()
    asks = bool(devices or service.get("gpus")) or wants_gpu({"Runtime": service.get("runtime")})
    if asks != container.gpu_requested:
        found["gpu"] = "it would get a GPU" if asks else "it would lose its GPU"
    return found


def _environment(wanted: Any, container: Container) -> dict[str, str]:  # noqa: ANN401 - a map or a list, as YAML has it
    resolved = wanted if isinstance(wanted, Mapping) else pairs(tuple(map(str, wanted)))
    found = {}
    for name, value in resolved.items():
        if name in _OF_IMAGES or value is None:
            continue
        there = container.environment.get(name)
        if there is None:
            found[f"environment.{name}"] = f"{name} would be set"
        elif there != str(value):
            found[f"environment.{name}"] = f"{name} would change"
    return found


def _listed(items: Sequence[str]) -> str:
    return ", ".join(items)
