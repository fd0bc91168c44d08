"""A Windows host that refuses or does not tell: what is refused is never reported as missing, and the advice is the one that helps."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.cli.processes import Remediate

GROUP = r"Add-LocalGroupMember -SID S-1-5-32-544 -Member 'LAB\ops'"
ABSENT = re.compile(
    r"not installed|no NVIDIA GPU|nobody is logged in|Windows has no|runs in none|no container on|no Compose project is known|"
    r"0 B of 0 B|stopped|wsl --install|winget install|NVIDIA's driver|<f:|\bNone\b"
)
"""What claims that a part is not there, or cures that."""


@pytest.fixture
def lab(remediate: Remediate) -> Remediate:
    remediate("lab.start")
    return remediate


def checks(lab: Remediate, fault: str) -> tuple[int, dict[str, dict[str, Any]]]:
    lab("lab.fault", "laptop-07", fault)
    done = lab("check-host", "--inventory", "lab", "--json")
    assert "Traceback" not in done.stderr, done.stderr
    (host,) = json.loads(done.stdout)
    return done.returncode, {check["name"]: check for check in host["checks"]}


def test_a_login_without_rights_learns_who_it_is_what_it_lacks_and_the_command(lab: Remediate) -> None:
    code, found = checks(lab, "no-rights")
    assert code == 2
    assert found["reached"]["text"].startswith("as LAB\\ops")
    assert found["rights"]["ok"] is False
    assert "has no administrator rights" in found["rights"]["text"]
    assert GROUP in found["rights"]["cure"]
    assert {name for name, check in found.items() if check["ok"] is False} == {"rights", "Docker engine"}
    assert {name for name, check in found.items() if check["ok"]} >= {"transport", "PowerShell", "GPU", "Ollama"}
    assert not ABSENT.search(json.dumps(found)), ABSENT.search(json.dumps(found))
    for name in ("desktop", "system", "GPU memory by program", "GPU counters", "WSL", "Docker Desktop"):
        assert re.search("denied|does not tell this login", found[name]["text"]), found[name]


def test_an_administrator_needs_no_advice_and_a_login_that_may_ask_keeps_its_own(lab: Remediate) -> None:
    code, found = checks(lab, "healthy")
    assert (code, "rights" in found, found["elevated"]["ok"]) == (0, False, True)
    code, found = checks(lab, "not-elevated")
    assert (code, "rights" in found, found["elevated"]["ok"]) == (0, False, None)
    assert "the distributions are unknown" in found["WSL"]["text"]
    assert not ABSENT.search(json.dumps(found))


def test_a_value_that_windows_does_not_have_is_no_lack_of_rights(lab: Remediate) -> None:
    code, found = checks(lab, "values-missing")
    assert code == 0
    assert (found["system"]["ok"], found["system"]["text"]) == (True, "LAPTOP-07, windows 10.0.22631")
    assert "rights" not in {name for check in found.values() for name in check["cure"].split()}


def test_a_card_that_needs_a_reset_is_named_with_what_it_says(lab: Remediate) -> None:
    code, found = checks(lab, "card-needs-reset")
    assert code == 2
    assert "[GPU requires reset], [Unknown Error], [N/A]" in found["GPU"]["text"]
    assert found["GPU"]["cure"].startswith("restart the machine")
    assert not ABSENT.search(json.dumps(found))


@pytest.mark.parametrize(
    ("fault", "cure"),
    [
        ("no-rights", f"give LAB\\ops administrator's rights: in an elevated PowerShell: {GROUP}"),
        ("card-needs-reset", "restart Windows"),
    ],
)
def test_a_diagnosis_says_what_gives_the_answer(lab: Remediate, fault: str, cure: str) -> None:
    lab("lab.fault", "laptop-07", fault)
    done = lab("diagnose", "--inventory", "lab", "--json")
    assert done.returncode == 0, done.stderr
    assert json.dumps(cure)[1:-1] in done.stdout
    assert not ABSENT.search(done.stdout), ABSENT.search(done.stdout)


def test_a_repair_without_rights_changes_nothing_and_says_what_it_needs(lab: Remediate) -> None:
    lab("lab.fault", "laptop-07", "no-rights")
    done = lab("fix-offload", "--inventory", "lab")
    assert (done.returncode, "change 1" in done.stdout) == (2, False), done.stdout
    assert len(re.findall(r"^ *next:", done.stdout, re.MULTILINE)) == 1
    assert not ABSENT.search(done.stdout), done.stdout
