"""Mutated logs: nothing in them raises, and the reading stays bounded."""

from __future__ import annotations

import pathlib
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from remediation.diagnosis.diagnose import diagnose, to_json
from remediation.diagnosis.evidence import Evidence, Piece
from remediation.diagnosis.load import of_incident
from remediation.diagnosis.readers.logs import read_log

LINES = [
    line
    for path in sorted((pathlib.Path(__file__).parent / "fixtures" / "logs").glob("*.log"))
    for line in path.read_text(encoding="utf-8").splitlines()
]
BOUNDED = settings(max_examples=60)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Return real lines in any order, each perhaps cut, doubled, or with a piece replaced."""
    lines = draw(st.lists(st.sampled_from(LINES), max_size=30))
    out = []
    for line in lines:
        way = draw(st.sampled_from(["keep", "cut", "head", "twice", "splice", "noise"]))
        place = draw(st.integers(0, len(line)))
        if way == "cut":
            out.append(line[:place])
        elif way == "head":
            out.append(line[place:])
        elif way == "twice":
            out.append(line + line)
        elif way == "splice":
            out.append(line[:place] + draw(st.text(max_size=12)) + line[place:])
        elif way == "noise":
            out.append(draw(st.text(max_size=80)))
        else:
            out.append(line)
    return draw(st.sampled_from(["\n", "\r\n"])).join(out)


@BOUNDED
@given(mutated())
def test_a_mutated_log_is_diagnosed_without_an_exception(text: str) -> None:
    found = diagnose(Evidence(pieces=(Piece("server_log", text),)))
    assert found.findings
    assert all(0 <= one.confidence <= 1 for one in found.findings)
    assert found.offloaded is None or 0 <= found.offloaded[0] <= found.offloaded[1]
    to_json(found)


@BOUNDED
@given(
    st.text(max_size=400), st.sampled_from(["nvidia_smi", "ollama_ps", "api", "docker_inspect", "env", "client_config", "other"])
)
def test_any_text_of_any_kind_is_diagnosed_without_an_exception(text: str, kind: str) -> None:
    assert diagnose(Evidence(pieces=(Piece(kind, text),))).findings


@BOUNDED
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["evidence", "kind", "text", "platform", "gpu", "pieces", "use", "version"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_damaged_records_are_read_without_an_exception(data: object) -> None:
    if isinstance(data, dict):
        assert Evidence.from_json(data) is not None
        assert of_incident(data) is not None


def calls(text: str) -> int:
    """Return how many calls of functions reading a log takes: a measure of work that no machine's load changes."""
    count = 0

    def counted(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(counted)
    try:
        read_log(text)
    finally:
        sys.setprofile(None)
    return count


@BOUNDED
@given(mutated())
def test_ten_times_the_input_costs_at_most_twelve_times_the_work(text: str) -> None:
    often = (text + "\n") * 10
    assert len(read_log(often).loads) <= len(often.splitlines()) + 1  # first: what is kept from now on is not counted below
    assert calls(often) <= 12 * calls(text + "\n") + 200


@BOUNDED
@given(mutated())
def test_a_repeated_message_is_kept_a_few_times_only(text: str) -> None:
    once, often = read_log(text + "\n"), read_log((text + "\n") * 10)
    assert len(often.hits) <= 4 * len(once.hits) + 4
