"""wsl.configured: one line of .wslconfig with any other content."""

from __future__ import annotations

import pytest

from remediation.model.facts import SystemLimits
from remediation.model.outcome import Outcome
from remediation.steps.host.wsl import with_memory
from tests.engine.fakes.examples import stack
from tests.engine.fakes.host import GIB
from tests.steps.step_runner import run, summaries, undo

PATH = "C:\\Users\\ana\\.wslconfig"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "[wsl2]\nmemory=12GB\n"),
        ("[wsl2]\nmemory=8GB\nswap=0\n", "[wsl2]\nmemory=12GB\nswap=0\n"),
        ("[wsl2]\r\nswap=0\r\n", "[wsl2]\r\nmemory=12GB\r\nswap=0\r\n"),
        ("[experimental]\nmemory=1GB\n", "[experimental]\nmemory=1GB\n[wsl2]\nmemory=12GB\n"),
        ("[wsl2]\n Memory = 12GB \n", "[wsl2]\n Memory = 12GB \n"),
    ],
)
def test_only_the_line_is_changed(text: str, expected: str) -> None:
    assert with_memory(text, 12 * GIB) == expected
    assert with_memory(expected, 12 * GIB) == expected


def test_who_is_affected_is_said_and_the_file_is_undone() -> None:
    world = stack()
    world.limits = SystemLimits(host=16 * GIB, wslconfig=PATH)
    world.texts[PATH] = b"[wsl2]\nmemory=8GB\n"
    result = run(world, "wsl.configured", {"memory": "12 GiB"})
    assert result.outcome is Outcome.CHANGED
    assert "ends every distribution and Docker Desktop's containers" in summaries(result)[0]
    assert world.texts[PATH] == b"[wsl2]\nmemory=12GB\n"
    undo(world, result.changes[0])
    assert world.texts[PATH] == b"[wsl2]\nmemory=8GB\n"


def test_windows_keeps_memory_of_its_own() -> None:
    world = stack()
    world.limits = SystemLimits(host=16 * GIB, wslconfig=PATH)
    result = run(world, "wsl.configured", {"memory": "16 GiB"})
    assert (result.outcome.bad, world.writes) == (True, [])
    assert "must leave some of it to Windows" in result.reason


@pytest.mark.parametrize(
    ("text", "limit", "wanted"),
    [
        ("[wsl2]\nmemory=1GB\n", GIB, "[wsl2]\nmemory=8GB\n"),
        ("[wsl2]\nmemory=10GB\n", 10 * GIB, None),
        ("[wsl2]\nswap=0\n", None, None),
        (None, None, None),
    ],
)
def test_without_an_amount_a_low_limit_is_raised_to_half_of_the_host(
    text: str | None, limit: int | None, wanted: str | None
) -> None:
    world = stack()
    world.limits = SystemLimits(host=int(15.7 * GIB), wsl=limit, wslconfig=PATH)
    if text is not None:
        world.texts[PATH] = text.encode()
    result = run(world, "wsl.configured")
    assert (result.outcome, world.texts.get(PATH)) == (
        (Outcome.CHANGED, wanted.encode()) if wanted else (Outcome.OK, text.encode() if text is not None else None)
    )


def test_half_of_an_unknown_memory_is_not_guessed() -> None:
    world = stack()
    world.limits = SystemLimits(wsl=GIB, wslconfig=PATH)
    world.texts[PATH] = b"[wsl2]\nmemory=1GB\n"
    result = run(world, "wsl.configured")
    assert (result.outcome.bad, world.writes) == (True, [])
    assert "the memory of" in result.reason
