"""How steps are found in the modules of a package."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from remediation.facets.protocols import Reader
from remediation.model.change import Change
from remediation.model.errors import UsageError
from remediation.steps.contract import Step
from remediation.steps.registry import _steps_of, registry


class Reached(Step[str]):
    """A step of another distribution."""

    name = "sample.reached"

    def observe(self, host: Reader) -> str:
        return host.name

    def is_met(self, seen: str) -> bool | None:
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
    inner = tmp_path / "samples_of_another" / "deep" / "deeper"
    inner.mkdir(parents=True)
    for folder in (inner, *inner.parents[:2]):
        (folder / "__init__.py").touch()
    source = Path(__file__).read_text(encoding="utf-8")
    (inner / "reached.py").write_text(source[: source.index("def test_")], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    assert [cls.name for cls in _steps_of(import_module("samples_of_another"))] == ["sample.reached"]


STEP = """
from remediation.steps.contract import Step

class Other(Step[str]):
    name = "{name}"
    {method} = lambda self, *given: None
    observe = lambda self, host: ""
    plan = lambda self, seen: iter(())
"""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import no_such_module", "the extension 'broken' of remediation.steps cannot be loaded: ModuleNotFoundError: No module"),
        (STEP.format(name="sample.older", method="met"), "the step 'sample.older' of steps_of_another lacks is_met"),
        (
            STEP.format(name="vram.free", method="is_met"),
            "the step 'vram.free' is defined by ",
        ),
    ],
    ids=["not loaded", "incomplete", "name taken"],
)
def test_a_package_that_brings_an_unusable_step_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str
) -> None:
    about = tmp_path / "another-9.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: another\nVersion: 9\n", encoding="utf-8")
    (about / "entry_points.txt").write_text("[remediation.steps]\nbroken = steps_of_another\n", encoding="utf-8")
    (tmp_path / "steps_of_another.py").write_text(text, encoding="utf-8")
    monkeypatch.delitem(sys.modules, "steps_of_another", raising=False)
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(UsageError) as raised:
        registry.__wrapped__()

    assert sentence in raised.value.message
    assert raised.value.next_step
