"""The processes of a Windows machine: after a boot, after a logon, and with Docker Desktop."""

from __future__ import annotations

import re

from remediation_lab.wire import Json
from remediation_lab.world.state import MIB, Program, State

DOCKER = "C:\\Program Files\\Docker\\Docker\\"
DESKTOP = "Docker Desktop.exe"
BACKEND = "com.docker.backend.exe"
BUILD = "com.docker.build.exe"
HELPER = "com.docker.service.exe"
"""The privileged helper: a service that starts with Windows and stays when Docker Desktop ends."""
VM = "vmmemWSL"
RELAY = "wslrelay.exe"
"""Listens in Windows for the servers in distributions of WSL."""
_OF_DOCKER_DESKTOP = re.compile(r"(docker desktop|com\.docker\..*|docker-agent|vpnkit.*)\.exe", re.IGNORECASE)


def of_docker_desktop(name: str) -> bool:
    """Return whether a program belongs to Docker Desktop and ends with it."""
    return _OF_DOCKER_DESKTOP.fullmatch(name) is not None and name.lower() != HELPER


def windows(state: State) -> None:
    """Start what runs on a Windows machine after a boot."""
    booted = state.booted
    system = "NT AUTHORITY\\SYSTEM"
    windows = "C:\\Windows\\System32\\"

    def add(name: str, session: int, owner: str, path: str | None, **more: Json) -> Program:
        parent = more.pop("parent", 4)
        program = Program(state.pid(), parent, name, path, session, booted + 0.25 * len(state.programs), owner, **more)
        state.programs.append(program)
        return program

    add("System", 0, system, None)
    services = add("services.exe", 0, system, f"{windows}services.exe")
    for name, service in (
        ("svchost.exe", "WinRM"),
        ("svchost.exe", "Schedule"),
        ("svchost.exe", "Winmgmt"),
        ("lsass.exe", "SamSs"),
    ):
        add(name, 0, system, f"{windows}{name}", parent=services.pid, service=service)
    display = "C:\\Windows\\System32\\DriverStore\\FileRepository\\nvmi.inf_amd64\\Display.NvContainer\\NVDisplay.Container.exe"
    add(
        "NVDisplay.Container.exe",
        0,
        system,
        display,
        parent=services.pid,
        service="NVDisplay.ContainerLocalSystem",
        local=3 * MIB,
    )
    if state.engine.desktop is not None:
        add(HELPER, 0, system, f"{DOCKER}{HELPER}", parent=services.pid, service="com.docker.service")
    add("winrshost.exe", 0, state.login.user, f"{windows}winrshost.exe")


def logon(state: State, now: float) -> None:
    """Start the desktop of the user who has logged on; the screen before that is Windows' own."""
    user = state.login.desktop_user
    if user is None:
        _add(state, "LogonUI.exe", "C:\\Windows\\System32\\LogonUI.exe", now, owner="NT AUTHORITY\\SYSTEM", local=11 * MIB)
        return
    state.programs = [each for each in state.programs if each.name != "LogonUI.exe"]
    windows_folder = "C:\\Windows\\System32\\"
    _add(state, "dwm.exe", f"{windows_folder}dwm.exe", now, owner="Window Manager\\DWM-1", local=56 * MIB, nonlocal_=38 * MIB)
    explorer = _add(state, "explorer.exe", "C:\\Windows\\explorer.exe", now, owner=user, local=16 * MIB, windows=1)
    _add(
        state, "SearchHost.exe", "C:\\Windows\\SystemApps\\SearchHost.exe", now, owner=user, parent=explorer.pid, local=5 * MIB
    )  # fmt: skip


def docker_desktop(state: State, now: float, *, dashboard: bool) -> None:
    """Start Docker Desktop's programs in the desktop user's session."""
    user = state.login.desktop_user
    explorer = next((each.pid for each in state.programs if each.name == "explorer.exe"), 4)
    gui = _add(
        state, DESKTOP, f"{DOCKER}{DESKTOP}", now, owner=user, parent=explorer, local=7 * MIB if dashboard else 0, windows=int(dashboard)
    )  # fmt: skip
    backend = _add(state, BACKEND, f"{DOCKER}resources\\{BACKEND}", now, owner=user, parent=gui.pid)
    _add(state, BUILD, f"{DOCKER}resources\\{BUILD}", now, owner=user, parent=backend.pid)


def vm(state: State, now: float) -> None:
    """Start the process of the WSL machine."""
    if all(each.name != VM for each in state.programs):
        _add(state, VM, None, now, owner="NT AUTHORITY\\SYSTEM", session=0)


def relay(state: State, now: float) -> None:
    """Start the program that passes connections on to the distributions."""
    if all(each.name != RELAY for each in state.programs):
        _add(state, RELAY, f"C:\\Program Files\\WSL\\{RELAY}", now, owner=state.login.desktop_user)


def _add(  # a program's parts, by name
    state: State,
    name: str,
    path: str | None,
    started: float,
    *,
    owner: str | None,
    session: int = 1,
    parent: int = 4,
    **more: Json,
) -> Program:
    program = Program(state.pid(), parent, name, path, session, started, owner, **more)
    state.programs.append(program)
    return program
