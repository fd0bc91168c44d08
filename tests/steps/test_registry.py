"""How steps are found in the modules of a package."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from remediation.facets.protocols import Reader
from remediation.model.change import Change
from remediation.steps.contract import Step
from remediation.steps.registry import _steps_of


class Reached(Step[str]):
    """A step of another distribution."""

    name = "toy.reached"

    def look(self, host: Reader) -> str:
        return host.name

    def met(self, seen: str) -> bool | None:
        return bool(seen)

    def plan(self, seen: str) -> Iterator[Change]:
        if not seen:
            yield Change("reach it")


def test_type_aliases_in_a_module_of_steps_are_no_steps() -> None:
    module = ModuleType(__name__)
    module.Reached = Reached  # type: ignore[attr-defined]
    module.Names = list[str]  # type: ignore[attr-defined]

    assert list(_steps_of(module)) == [Reached]


def test_steps_in_a_sub_package_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "toys_of_another" / "deep" / "deeper"
    inner.mkdir(parents=True)
    for folder in (inner, *inner.parents[:2]):
        (folder / "__init__.py").touch()
    source = Path(__file__).read_text(encoding="utf-8")
    (inner / "reached.py").write_text(source[: source.index("def test_")], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    assert [cls.name for cls in _steps_of(import_module("toys_of_another"))] == ["toy.reached"]
