"""A reader has no method that changes anything: the protocols themselves say so."""

from __future__ import annotations

from typing import Any, get_type_hints

import pytest

from remediation.facets import protocols
from remediation.facets.protocols import Reader, Writer
from tests.engine.fakes.host import FakeReader, World

FACETS = (
    "gpu",
    "processes",
    "engine",
    "compose",
    "ollama",
    "desktop",
    "system",
    "files",
    "services",
    "service_manager",
    "daemon",
)


def methods(of: type[Any]) -> set[str]:
    return {name for name in dir(of) if not name.startswith("_")}


def facet(of: type[Any], name: str) -> type[Any]:
    prop = getattr(of, name)
    found = get_type_hints(prop.fget, vars(protocols))["return"]
    assert isinstance(found, type)
    return found


@pytest.mark.parametrize("name", FACETS)
def test_a_readers_facet_is_the_reading_one_and_lacks_what_the_writers_adds(name: str) -> None:
    reading, writing = facet(Reader, name), facet(Writer, name)
    assert reading.__name__.endswith("Reader")
    added = methods(writing) - methods(reading)
    assert not added & methods(type(getattr(FakeReader(World()), name)))


def test_reader_and_writer_show_the_same_facets() -> None:
    assert methods(Reader) == methods(Writer) == {*FACETS, "name", "variables", "context", "target"}
