"""Options of the command line, ``ANSIBLE_*`` variables and ``ansible.cfg``: the first that is given counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediation.cli.context import read_inventory
from remediation.cli.options import PlaybookOptions
from remediation.cli.runner import forks_of


@pytest.mark.parametrize(
    ("option", "variable", "setting", "found"),
    [("9", "8", "7", 9), (None, "8", "7", 8), (None, None, "7", 7), (None, None, None, 50)],
)
def test_forks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str | None, variable: str | None, setting: str | None, found: int
) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if variable is not None:
        monkeypatch.setenv("ANSIBLE_FORKS", variable)
    if setting is not None:
        (tmp_path / "ansible.cfg").write_text(f"[defaults]\nforks = {setting}\n", encoding="utf-8")
    assert forks_of(PlaybookOptions(forks=option)) == found


def test_the_inventory_of_an_option_takes_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANSIBLE_INVENTORY", "b,")
    assert list(read_inventory(PlaybookOptions()).hosts) == ["b"]
    assert list(read_inventory(PlaybookOptions(inventory=("a,",))).hosts) == ["a"]
