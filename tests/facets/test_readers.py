"""A reader has no method that changes anything, on whichever way to a host; and a writer has all that its protocol promises."""

from __future__ import annotations

from typing import Any, get_type_hints

import pytest

from remediation.facets import protocols
from remediation.facets.host_factory import open_host
from remediation.facets.protocols import Reader, Writer

FACETS = ("gpu", "processes", "engine", "compose", "ollama", "desktop", "system", "files")
WAYS: dict[str, dict[str, Any]] = {
    "winrm": {"ansible_connection": "winrm", "ansible_user": "u", "ansible_password": "p"},
    "ssh": {"ansible_connection": "ssh"},
    "local": {"ansible_connection": "local"},
    "windows itself": {"ansible_connection": "local", "ansible_shell_type": "powershell"},
}


def methods(of: object) -> set[str]:
    return {name for name in dir(of) if not name.startswith("_")}


def promised(of: type[Any], facet: str) -> set[str]:
    return methods(get_type_hints(getattr(of, facet).fget, vars(protocols))["return"])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("facet", FACETS)
def test_what_a_writer_adds_no_reader_has(way: str, facet: str) -> None:
    host = open_host("h", WAYS[way], check=False)
    reading, writing = getattr(host.reader, facet), getattr(host.writer(), facet)
    assert promised(Reader, facet) <= methods(reading)
    assert promised(Writer, facet) <= methods(writing)
    assert not (promised(Writer, facet) - promised(Reader, facet)) & methods(reading)
    assert host.round_trips == 0, "making a facet reads nothing"
    host.close()


def test_a_reader_shows_the_facets_and_what_it_is() -> None:
    host = open_host("h", WAYS["ssh"], check=True)
    assert methods(Reader) <= methods(host.reader)
    assert not {"writer", "write"} & methods(host.reader)
    assert host.reader is not host.reader, "each is a new look"
