"""Services of the host: systemd or init scripts on POSIX hosts, the service control manager on Windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediation.connections.calls import Probe, Run
from remediation.facets.checked import SnapshotReader, checked
from remediation.facets.scripts import shell
from remediation.model.errors import CallFailed
from remediation.model.facts import ServiceStatus

_NONE = 4
_RIGHTS = "use a login that may manage services (become: true, or an administrator)"
_ACTIVE = {"active": "running", "reloading": "running", "activating": "starting", "deactivating": "stopping"}
_STATES = {
    "Running": "running",
    "Stopped": "stopped",
    "Paused": "paused",
    "Start Pending": "starting",
    "Stop Pending": "stopping",
}
_MODES = {"Auto": "auto", "Manual": "manual", "Disabled": "disabled"}
_SETTINGS = ("start_mode", "path", "display_name", "description", "username")
_CHANGING = 120.0


@checked("service_manager")
class HostServiceManager(SnapshotReader):
    """Reads services."""

    def status(self, name: str, *, user: bool = False) -> ServiceStatus | None:
        """Return a service, or None if there is none."""
        what = f"reading the service {name}"
        if self._snapshot.platform == "windows":
            return windows_service(self._snapshot.probe(Probe("service", _data(name, "read")), what), what, self._snapshot.host)
        done = self._snapshot.run(_call("status", name, user=user), what, codes=(0, _NONE))
        return None if done.rc == _NONE else posix_service(name, done.text)


@checked("service_manager")
class HostServiceManagerWriter(HostServiceManager):
    """Adds starting, stopping and configuring services."""

    def act(self, name: str, verb: str, *, user: bool = False, force: bool = False) -> None:
        """Start, stop, pause, restart, reload, enable, disable, mask, unmask or remove a service."""
        what = f"{verb} of the service {name}"
        if self._snapshot.platform == "windows":
            self._probe(name, verb, what, force=force)
            return
        self._snapshot.run(_call(verb, name, user=user, writes=True), what, next_step=_RIGHTS)

    def configure(self, name: str, settings: Mapping[str, str], *, create: bool = False) -> None:
        """Create or change a Windows service: ``start_mode``, ``path``, ``display_name``, ``description`` and ``username``."""
        self._probe(name, "create" if create else "configure", f"configuring the service {name}", **settings)

    def _probe(self, name: str, action: str, what: str, **more: Any) -> None:
        call = Probe("service", {**_data(name, action), **more}, timeout=_CHANGING, writes=True)
        value = self._snapshot.probe(call, what)
        if value["Problem"]:
            raise CallFailed(f"{what} failed: {value['Problem']}", host=self._snapshot.host, next_step=_RIGHTS)


def _data(name: str, action: str) -> dict[str, Any]:
    return {"name": name, "action": action, "force": False, **dict.fromkeys(_SETTINGS)}


def _call(verb: str, name: str, *, user: bool, writes: bool = False) -> Run:
    argv = ("sh", "-c", shell("service"), "service", verb, name, "user" if user else "")
    return Run(argv, timeout=_CHANGING if writes else 30.0, writes=writes)


def posix_service(name: str, text: str) -> ServiceStatus | None:
    """Return a service from the output of ``service.sh``."""
    lines = text.splitlines()
    if lines[:1] != ["manager systemd"]:
        fields = dict(line.split(" ", 1) for line in lines if " " in line)
        running = fields.get("running") == "yes"
        return ServiceStatus(name, "running" if running else "stopped", enabled=fields.get("enabled") == "yes")
    properties = {key: value for key, equals, value in (line.partition("=") for line in lines[1:]) if equals}
    if properties.get("LoadState") in {None, "not-found"}:
        return None
    unit = properties.get("UnitFileState", "")
    return ServiceStatus(
        name, _ACTIVE.get(properties.get("ActiveState", ""), "stopped"), enabled=unit in {"enabled", "enabled-runtime", "static", "alias", "indirect"},
        masked=properties.get("LoadState") == "masked" or unit.startswith("masked"), instance=properties.get("InvocationID", ""),
        start_mode=unit, details=properties,
    )  # fmt: skip


def windows_service(value: Mapping[str, Any], what: str, host: str) -> ServiceStatus | None:
    """Return a service from the value of the ``service`` probe. Raises `CallFailed`."""
    if value["Problem"]:
        raise CallFailed(f"{what} failed: {value['Problem']}", host=host, next_step=_RIGHTS)
    if not value["Exists"]:
        return None
    mode = (
        "delayed"
        if value["Delayed"] and value["StartMode"] == "Auto"
        else _MODES.get(str(value["StartMode"]), str(value["StartMode"]))
    )
    details = {
        "exists": True, "name": str(value["Name"]), "display_name": str(value["DisplayName"]), "description": str(value["Description"]),
        "path": str(value["PathName"]), "username": str(value["StartName"]), "desktop_interact": bool(value["DesktopInteract"]),
        "dependencies": list(value["Dependencies"] or ()), "depended_by": list(value["DependedBy"] or ()),
        "can_pause_and_continue": bool(value["AcceptPause"]), "start_mode": mode,
    }  # fmt: skip
    state = _STATES.get(str(value["State"]), "stopped")
    return ServiceStatus(str(value["Name"]), state, enabled=mode in {"auto", "delayed"}, start_mode=mode, details=details)
