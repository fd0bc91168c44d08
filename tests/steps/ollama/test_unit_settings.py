"""Which drop-ins of a systemd unit are written, and that their settings win over the user's, under any name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from remediation.facets.services.unit_files import drop_in_after, drop_in_of, settings_in, settings_that_win
from remediation.model.facts import Manager, ServerProcess, ServiceUnit, Serving
from remediation.model.outcome import Outcome
from remediation.steps.ollama.settings import UnitSettings
from tests.engine.fakes.examples import healthy
from tests.steps.step_runner import run

UNIT = "/etc/systemd/system/ollama.service"
OWN = drop_in_of(UNIT, "ollama.service")


def place(files: Mapping[str, str]) -> UnitSettings:
    settings = settings_in(files, {})
    unit = ServiceUnit("ollama.service", "active", 1, UNIT, settings_that_win(settings), settings, dict(files))
    serving = Serving(Manager.SYSTEMD, unit.name, unit=unit, settings=settings)
    return UnitSettings(serving, unit.environment, settings, (), unit, OWN, {OWN: "", **files})


def edited(files: Mapping[str, str], put: Mapping[str, str], going: Sequence[str] = ()) -> dict[str, str]:
    """Return the unit's files after the changes, in the order in which systemd reads them."""
    after = {**files, **{change.subject: change.data["text"] for change in place(files).edits(going, put)}}
    return dict(sorted(after.items(), key=lambda item: (item[0] != UNIT, item[0].rpartition("/")[2])))


def in_folder(name: str, folder: str = f"{UNIT}.d") -> str:
    return f"{folder}/{name}"


@pytest.mark.parametrize(
    ("user", "written"),
    [
        ("override.conf", "zz-remediation.conf"),
        ("zzz-user.conf", "zzz-user.remediation.conf"),
        ("~last.conf", "~last.remediation.conf"),
        ("zz-remediation.conf.d.conf", "zz-remediation.conf.d.remediation.conf"),
    ],
)
def test_what_is_set_wins_over_a_drop_in_of_the_user_with_any_name(user: str, written: str) -> None:
    files = {UNIT: '[Service]\nEnvironment="B=1"\n', in_folder(user): '[Service]\nEnvironment="A=32768"\n'}
    once = edited(files, {"A": "4096", "C": "3"}, ["B"])
    assert settings_that_win(settings_in(once, {})) == {"A": "4096", "C": "3"}
    assert {path: once[path] for path in files} == files
    assert set(once) - set(files) == {OWN, in_folder(written)}
    twice = edited(once, {"A": "2048"})
    assert settings_that_win(settings_in(twice, {})) == {"A": "2048", "C": "3"}
    assert set(twice) == set(once)


def test_the_drop_in_stays_in_the_folder_of_this_tool() -> None:
    other = in_folder("zzz.conf", "/run/systemd/system/ollama.service.d")
    assert drop_in_after(OWN, other) == in_folder("zzz.remediation.conf")
    assert drop_in_after(OWN, "/etc/default/zzz") == OWN
    assert drop_in_after(OWN, "") == OWN


def test_the_settings_of_a_snap_are_changed_by_hand_because_its_launcher_overrides_those_of_systemd() -> None:
    world = healthy()
    unit = ServiceUnit("snap.ollama.listener.service", "active", 9, f"{UNIT}", {}, (), {UNIT: "[Service]\n"})
    runs = ServerProcess(9, "root", "/snap/ollama/1/bin/ollama", unit.name, environment={"OLLAMA_CONTEXT_LENGTH": "32768"})
    world.serving = Serving(Manager.SYSTEMD, unit.name, runs, unit)
    result = run(world, "ollama.environment", {"set": {"OLLAMA_CONTEXT_LENGTH": "4096"}})
    assert result.outcome is Outcome.FAILED
    assert "OLLAMA_CONTEXT_LENGTH must be 4096 (32768 from the snap ollama)" in result.reason
    assert result.next_step == "run sudo snap set ollama context-length=4096 && sudo snap restart ollama"
    assert not world.writes
