"""The probes ``session`` and ``desktop``: what is refused, in use or gone is null with its reason, and the rest arrives."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

import pytest

from tests.powershell.windows import USER, Windows, disturbance, refused

CIM = [refused("Get-CimInstance", Message="Access denied ", Code="0x80041003")]
GET_OWNER = "GetOwner"


def settings(windows: Windows, text: str = "{}", name: str = "settings-store.json") -> Path:
    path = windows.profile / "AppData" / "Roaming" / "Docker" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_login_without_rights_learns_who_it_is(windows: Windows) -> None:
    windows.world["elevated"] = False
    value = windows.answer("session", disturbed=CIM)
    assert (value["User"], value["Elevated"], value["DesktopUser"]) == (USER, False, None)
    assert value["Problems"] == {"DesktopUser": "Access denied (0x80041003)"}
    assert value["PSVersion"]


@pytest.mark.parametrize("how", ["refused", "gone", "empty", "null"])
def test_the_console_answers_where_a_shell_does_not(windows: Windows, how: str) -> None:
    value = windows.answer("session", disturbed=[disturbance(how, "Invoke-CimMethod")])
    assert (value["DesktopUser"], value["Problems"]) == (USER, {})


def test_the_next_shell_answers_where_one_has_ended(windows: Windows) -> None:
    value = windows.answer("session", disturbed=[disturbance("vanishing", "Invoke-CimMethod", "1000")])
    assert value["DesktopUser"] is not None


@pytest.mark.parametrize("how", ["refused", "gone", "null"])
def test_a_shell_without_a_known_owner_is_not_an_empty_desktop(windows: Windows, how: str) -> None:
    windows.world["console"] = None
    value = windows.answer("session", disturbed=[disturbance(how, "Invoke-CimMethod")])
    assert value["DesktopUser"] is None
    assert value["Problems"]["DesktopUser"]


@pytest.mark.parametrize("how", ["refused", "empty"])
def test_an_unknown_console_is_not_an_empty_desktop(windows: Windows, how: str) -> None:
    windows.world["processes"] = [each for each in windows.world["processes"] if each["Name"] != "explorer.exe"]
    value = windows.answer("session", disturbed=[disturbance(how, "Get-CimInstance", "Win32_ComputerSystem")])
    assert value["Problems"]["DesktopUser"]


def test_an_empty_desktop_has_no_user(windows: Windows) -> None:
    windows.world["console"] = None
    windows.world["processes"] = [each for each in windows.world["processes"] if each["Name"] != "explorer.exe"]
    value = windows.answer("session")
    assert (value["DesktopUser"], value["Problems"]) == (None, {})


def test_one_of_two_refused_classes_is_enough(windows: Windows) -> None:
    assert windows.answer("session", disturbed=[refused("Get-CimInstance", "Win32_Process")])["DesktopUser"] == USER


def test_settings_in_use_are_null_and_the_rest_arrives(windows: Windows) -> None:
    path = settings(windows)
    with path.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as .NET on Linux takes FileShare.None
        value = windows.answer("desktop")
    assert value["Settings"] is None
    assert "used by another process" in value["Problems"]["Settings"]
    assert (value["SettingsPath"], len(value["Processes"])) == (str(path), 2)


def test_files_are_read_while_another_program_writes_them(windows: Windows) -> None:
    path = settings(windows, '{"a": 1}')
    with path.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        value = windows.answer("desktop")
    assert (value["Settings"], value["Problems"]) == ('{"a": 1}', {})


def test_a_file_that_is_not_there_is_no_problem(windows: Windows) -> None:
    value = windows.answer("desktop")
    assert (value["Settings"], value["AdminSettings"], value["WslConfig"], value["Problems"]) == (None, None, None, {})
    assert value["SettingsPath"].endswith("settings-store.json")
    assert settings(windows, name="settings.json").name in windows.answer("desktop")["SettingsPath"]


def test_without_cim_neither_programs_nor_the_profile_are_claimed(windows: Windows) -> None:
    settings(windows)
    value = windows.answer("desktop", disturbed=CIM)
    assert (value["Installed"], value["Processes"], value["SettingsPath"], value["WslConfigPath"]) == (None, [], None, None)
    assert {"Installed", "Processes", "Profile", "SettingsPath", "Settings", "WslConfigPath", "WslConfig"} <= value[
        "Problems"
    ].keys()
    assert all("Access denied (0x80041003)" in reason for reason in value["Problems"].values())
    windows.program(windows.programs / "Docker" / "Docker" / "Docker Desktop.exe", "")
    value = windows.answer("desktop", disturbed=CIM)
    assert value["Installed"] is True
    assert "Installed" not in value["Problems"]


def parts(value: dict[str, Any]) -> set[str]:
    return {name for name in value if name != "Problems" and (value[name] is None or value[name] == [])}


@pytest.mark.parametrize(
    ("disturbed", "missing"),
    [
        ([refused("Get-Item")], {"Version"}),
        ([refused("Get-CimInstance", line="foreach ($process")], {"Processes"}),
        ([refused("Test-Path", "settings")], {"SettingsPath", "Settings"}),
        ([refused("Invoke-CimMethod")], {"Profile", "SettingsPath", "Settings", "WslConfigPath", "WslConfig"}),
        ([refused("Get-ItemProperty")], {"Profile", "SettingsPath", "Settings", "WslConfigPath", "WslConfig"}),
        ([disturbance("null", "Get-ItemProperty")], {"Profile", "SettingsPath", "Settings", "WslConfigPath", "WslConfig"}),
    ],
    ids=["version", "processes", "settings", "owner", "registry", "empty registry"],
)
def test_each_part_is_refused_alone(windows: Windows, disturbed: list[dict[str, Any]], missing: set[str]) -> None:
    windows.program(windows.programs / "Docker" / "Docker" / "Docker Desktop.exe", "")
    settings(windows)
    value = windows.answer("desktop", disturbed=disturbed)
    assert value["Problems"].keys() == missing
    assert (missing - {"Profile"}) <= parts(value)
    assert value["Installed"] is True


def test_a_message_without_a_known_user_is_not_shown(windows: Windows) -> None:
    assert windows.answer("notify", {"message": "x", "seconds": 3}, disturbed=CIM) == {"shown": False}
    windows.world["processes"] = [each for each in windows.world["processes"] if each["Name"] != "explorer.exe"]
    windows.world["console"] = None
    value = windows.answer("notify", {"message": "x", "seconds": 3})
    assert (value["shown"], value["task"], value["task_code"], value["Problems"]) == (False, "no-user", 0x800710E0, {})
