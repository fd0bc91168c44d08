"""When a watch repairs a host, and when it only reports it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from remediation.cli.watch.memory import RepairAttempt, WatchMemory, exclusive
from remediation.cli.watch.rules import QuietHours, RepairRules
from remediation.model.errors import Blocked, UsageError

NOW = 1_800_000_000.0
CAUSE = "vram_occupied"


def memory(*ages: float, host: str = "a", cause: str = CAUSE, repaired: bool = True) -> WatchMemory:
    return WatchMemory([RepairAttempt(host, cause, NOW - age, "7f3a", repaired) for age in ages])


def test_a_first_fault_is_repaired() -> None:
    assert RepairRules().decide("a", CAUSE, NOW, WatchMemory()).repair


def test_a_cause_that_comes_back_within_the_cool_down_flaps() -> None:
    found = RepairRules(cool_down=3600).decide("a", CAUSE, NOW, memory(600))
    assert (found.repair, found.flapping) == (False, True)
    assert found.why == "vram_occupied came back 10 min 0 s after a repair (run 7f3a); not repaired again for 50 min 0 s"


def test_another_cause_or_host_has_a_cool_down_of_its_own() -> None:
    rules = RepairRules(cool_down=3600)
    assert rules.decide("a", "driver_lost", NOW, memory(600)).repair
    assert rules.decide("b", CAUSE, NOW, memory(600)).repair


def test_a_repair_that_failed_is_tried_again_after_the_cool_down_and_does_not_flap() -> None:
    rules = RepairRules(cool_down=3600)
    found = rules.decide("a", CAUSE, NOW, memory(600, repaired=False))
    assert (found.repair, found.flapping) == (False, False)
    assert rules.decide("a", CAUSE, NOW, memory(3601, 8000, 16000, 20000, repaired=False)).repair


def test_a_cause_that_keeps_coming_back_is_not_repaired_forever() -> None:
    rules = RepairRules(cool_down=60)
    assert rules.decide("a", CAUSE, NOW, memory(4000, 8000)).repair
    found = rules.decide("a", CAUSE, NOW, memory(4000, 8000, 12000))
    assert (found.repair, found.flapping) == (False, True)
    assert rules.decide("a", CAUSE, NOW, memory(4000, 8000, 90_000)).repair  # the third is older than a day


def test_repairs_of_all_hosts_count_for_the_limit_per_hour() -> None:
    rules = RepairRules(per_hour=3)
    busy = WatchMemory([RepairAttempt(f"h{number}", CAUSE, NOW - 100 * number, "1", repaired=True) for number in range(3)])
    assert rules.decide("other", CAUSE, NOW, busy).why == "3 repairs within the last hour, the limit"
    assert rules.decide("other", CAUSE, NOW + 3600, busy).repair


def at(hour: int, minute: int = 0) -> float:
    return datetime.fromtimestamp(NOW).astimezone().replace(hour=hour, minute=minute).timestamp()


@pytest.mark.parametrize(
    ("hour", "minute", "quiet"), [(21, 59, False), (22, 0, True), (23, 30, True), (5, 59, True), (6, 0, False), (12, 0, False)]
)
def test_quiet_hours_may_pass_midnight(hour: int, minute: int, quiet: bool) -> None:
    hours = QuietHours.parse("22:00-6:00")
    assert hours.holds(at(hour, minute)) is quiet
    assert RepairRules(quiet=[hours]).decide("a", CAUSE, at(hour, minute), WatchMemory()).repair is not quiet


@pytest.mark.parametrize("text", ["22-6", "24:00-06:00", "22:60-06:00", "", "late"])
def test_quiet_hours_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected hours such as"):
        QuietHours.parse(text)


def test_quiet_hours_without_a_length_are_refused() -> None:
    with pytest.raises(UsageError, match="starts when it ends"):
        QuietHours.parse("22:00-22:00")


def test_the_memory_survives_a_restart_and_forgets_old_repairs(tmp_path: Path) -> None:
    file = tmp_path / "watch" / "w.json"
    kept = memory(10, 999_999)
    assert kept.is_news("a", "flapping x")
    kept.save(file, NOW)
    again = WatchMemory.load(file)
    assert [one.time for one in again.attempts] == [NOW - 10]
    assert not again.is_news("a", "flapping x")
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"attempts": [{}], "reported": {}}', '{"attempts": 1, "reported": []}'])
def test_a_damaged_memory_is_an_empty_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "w.json").write_text(text, encoding="utf-8")
    assert WatchMemory.load(tmp_path / "w.json") == WatchMemory()


def test_two_watches_of_one_name_do_not_share_a_memory(tmp_path: Path) -> None:
    with exclusive(tmp_path / "state" / "a.json"):
        with (
            pytest.raises(Blocked, match="another watch called a is running") as refused,
            exclusive(tmp_path / "state" / "a.json"),
        ):
            pass
        assert "--name" in refused.value.next_step
        with exclusive(tmp_path / "state" / "b.json"):
            pass
    with exclusive(tmp_path / "state" / "a.json"):
        pass


def test_a_folder_that_cannot_be_written_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file", encoding="utf-8")
    with exclusive(tmp_path / "state" / "a.json"):
        pass
