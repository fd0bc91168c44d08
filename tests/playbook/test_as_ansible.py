"""Small playbooks do what a real ansible-core did with them, host by host and task by task.

``cases/*/recorded.json`` is the output of ansible-core 2.19 through `ansible/record.py`; `recording` writes it, and ``-m every`` compares
it with what ansible-core does now.
"""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from remediation.facets.host_factory import open_host
from remediation.model.errors import RemediationError
from remediation.model.event import Event
from tests.playbook.play_runner import Ran, run
from tests.playbook.recording import INVENTORY, recorded

HERE = Path(__file__).parent
CASES = sorted(path for path in (HERE / "cases").iterdir() if path.is_dir())
COUNTERS = ("ok", "changed", "skipped", "failed", "rescued", "ignored", "unreachable")
EXITS = {4: 3}
"""Ansible's exit codes where they are other ones here."""


OF_A_RUN = frozenset({"delta", "end", "invocation", "start"})


def prepared(case: Path, folder: Path) -> Path:
    """Return a copy of a case to run in, with a folder for what its commands write."""
    work = folder / "work"
    shutil.copytree(case, work)
    if not (work / "inventory.yml").exists():
        (work / "inventory.yml").write_text(INVENTORY, encoding="utf-8")
    (folder / "tmp").mkdir()
    return work


def words(case: Path) -> list[str]:
    path = case / "cli"
    return path.read_text(encoding="utf-8").split() if path.exists() else []


def played(case: Path, folder: Path) -> Ran | None:
    """Run a case here; None where it is refused."""
    given = words(case)
    options: dict[str, Any] = {"extra": [f"tmp={folder / 'tmp'}"], "tags": (), "skip_tags": (), "check": "--check" in given}
    sources: list[Path | str] = [Path("inventory.yml")]
    for option, value in itertools.zip_longest(given, given[1:]):
        if option == "-e":
            options["extra"].append(value)
        elif option in {"--tags", "--skip-tags"}:
            options[option.lstrip("-").replace("-", "_")] = (value,)
        elif option == "--limit":
            options["limit"] = value
        elif option == "-i":
            sources = [Path(value) if "," not in value else value]
    try:
        return run(Path("playbook.yml"), sources, open_with=open_host, **options)
    except RemediationError:
        return None


def entries(events: list[Event], host: str) -> Iterator[Mapping[str, Any]]:
    """Yield a host's results in Ansible's words; an include that was carried out has none."""
    for event in events:
        if event.kind != "task_result" or event.host != host:
            continue
        data = event.data
        if "include" in data["result"] and data["outcome"] == "ok":
            continue
        word = {"timed-out": "failed", "unverified": "failed"}.get(data["outcome"], data["outcome"])
        if word == "failed" and data["ignored"] and "item" not in data:
            word = "ignored"
        fields = {"play": event.play, "task": event.task, "outcome": word, "msg": data["msg"]}
        yield {**fields, "item": data["item"]} if "item" in data else fields


def agree(want: Mapping[str, Any], got: Mapping[str, Any], tmp: str) -> bool:
    wanted = json.loads(json.dumps(want).replace("<tmp>", tmp).replace("<work>", str(Path(tmp).parent / "work")))
    if wanted["outcome"] != got["outcome"] and not (
        got["outcome"] == "would-change" and wanted["outcome"] in {"changed", "skipped"}
    ):
        return False
    names = [name for name in ("play", "task", "item", "msg") if name in wanted]
    return all(
        comparable(got.get(name)) == comparable(wanted[name]) or (name == "item" and wanted[name] is None) for name in names
    )


def comparable(value: Any) -> Any:
    """Return a value without what results in it have of their own: times, and the ``invocation``, which has internal parameters."""
    if isinstance(value, Mapping):
        return {name: comparable(inner) for name, inner in value.items() if name not in OF_A_RUN}
    return [comparable(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_it_does_what_ansible_did(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = prepared(case, tmp_path)
    monkeypatch.chdir(work)
    monkeypatch.setenv("PARITY_COLOUR", "blue")
    kept = json.loads((case / "recorded.json").read_text(encoding="utf-8"))
    ran = played(case, tmp_path)
    if ran is None:
        assert kept["exit_code"] != 0
        assert not kept["hosts"]
        return
    for host in {*kept["hosts"], *ran.summary.hosts}:
        wants, gots = kept["hosts"].get(host, []), list(entries(ran.events, host))
        for want, got in zip(wants, gots, strict=False):
            assert agree(want, got, str(tmp_path / "tmp")), (host, want, got)
        assert len(wants) == len(gots), (host, wants[len(gots) :], gots[len(wants) :])
        recap = ran.summary.hosts.get(host, {})
        planned = any(got["outcome"] == "would-change" for got in gots)
        for counter in COUNTERS[3 if planned else 0 :]:
            assert recap.get(counter, 0) == kept["recap"].get(host, {}).get(counter, 0), (host, counter)
    code = 0 if ran.summary.exit_code == 4 and "--check" in words(case) else ran.summary.exit_code
    assert code == EXITS.get(kept["exit_code"], kept["exit_code"])


@pytest.mark.every
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_ansible_still_does_what_was_recorded(case: Path, request: pytest.FixtureRequest) -> None:
    if "every" not in str(request.config.getoption("-m")):
        pytest.skip("ansible-core itself takes seconds per case: -m every")
    program = Path(sys.executable).parent / "ansible-playbook"
    if not program.exists():
        pytest.skip("ansible-core is not installed (extra bench)")
    kept = json.loads((case / "recorded.json").read_text(encoding="utf-8"))
    now = recorded(case, str(program))
    assert (now["hosts"], now["exit_code"]) == (kept["hosts"], kept["exit_code"])
