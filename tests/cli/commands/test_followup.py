"""What ``resume`` refuses, and what it leaves as it was."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from remediation.cli.commands.followup import resume_from_journal
from remediation.cli.options import Resume
from remediation.cli.runner import RunOptions, _interrupt_text, run_playbook_task
from remediation.engine.journal.history import runs
from remediation.model.errors import UsageError
from remediation.model.translation import speak


@pytest.mark.parametrize(("command", "refused"), [("true", "is complete"), ("false", "changed since run")])
def test_a_refused_resume_leaves_the_run_as_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, refused: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    play = tmp_path / "play.yml"
    play.write_text(
        f"- hosts: all\n  gather_facts: false\n  tasks: [{{fail: {{msg: no}}, when: {command == 'false'}}}]\n", "utf-8"
    )
    code = run_playbook_task("play", RunOptions(playbook=str(play), inventory=("local",)), io.StringIO())
    play.write_text(play.read_text("utf-8") + ("# edited\n" if code else ""), "utf-8")
    (before,) = runs()
    with pytest.raises(UsageError, match=refused):
        resume_from_journal(Resume(run=before.run), io.StringIO())
    (after,) = runs()
    assert before.end is not None
    assert after.end == before.end
    assert before.end.data["exit_code"] == code == (2 if command == "false" else 0)


def test_an_interrupt_is_confirmed_in_the_language() -> None:
    assert _interrupt_text("7f3a").startswith("\ninterrupted: finishing the current change")
    speak("es")
    try:
        assert "continuar más tarde: remediate resume 7f3a" in _interrupt_text("7f3a")
    finally:
        speak("en")
