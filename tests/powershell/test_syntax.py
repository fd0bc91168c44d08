"""Checks of the shipped PowerShell scripts that need no PowerShell; they always run."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

from remediation.connections.worker import bootstrap
from remediation.facets import scripts
from remediation.facets.scripts import FOLDER, SHARED, script, shared
from tests.powershell.shell import texts

PROBES = [path.stem for path in texts() if path.parent == FOLDER and path.stem != SHARED]
PARSER = Parser(Language(tree_sitter_powershell.language()))
COMMANDS = {"worker": bootstrap.worker_command(), "one call": bootstrap.one_call_command()}
# PowerShell 7 only: on 5.1 each is an error of syntax, or of an unknown parameter
_TOO_NEW = [
    r"\?\?",
    r"\?\.",
    r"&&",
    r"\|\|",
    r"-AsHashtable",
    r"-AsUTC",
    r"ForEach-Object\s+-Parallel",
    r"\bclean\s*\{",
    r"\? .* : ",
]
_FORBIDDEN = ["Invoke-Expression", "iex ", "Set-ExecutionPolicy", "AllowUnencrypted", "Write-Host"]


def nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from nodes(child)


def broken(text: bytes) -> list[str]:
    root = PARSER.parse(text).root_node
    return [f"{each.start_point[0] + 1}: {each.type}" for each in nodes(root) if each.is_error or each.is_missing]


def decoded(command: tuple[str, ...]) -> str:
    return base64.b64decode(command[-1]).decode("utf-16-le")


def code(text: str) -> str:
    """Return a script without its comments and single-quoted texts."""
    return re.sub(r"'[^'\n]*'|#.*", "", text)


def names(path: Path) -> str:
    return path.name


def test_there_is_something_to_look_at() -> None:
    assert "worker.ps1" in map(names, texts())


@pytest.mark.parametrize("path", texts(), ids=names)
def test_the_syntax(path: Path) -> None:
    assert broken(path.read_bytes()) == []


def test_the_parser_would_notice() -> None:
    assert broken(b"if ($a { 'x' }")


@pytest.mark.parametrize("path", texts(), ids=names)
def test_what_windows_powershell_5_1_does_not_know(path: Path) -> None:
    text = code(path.read_text("utf-8"))
    assert [each for each in _TOO_NEW if re.search(each, text)] == []
    assert [each for each in _FORBIDDEN if each in text] == []
    # ConvertTo-Json of 5.1 takes two levels by default, and enumerates what is piped to it
    assert all("-Depth 20 -Compress -InputObject" in line for line in text.splitlines() if re.search(r"ConvertTo-Json\b", line))


@pytest.mark.parametrize("path", texts(), ids=names)
def test_no_text_has_several_lines(path: Path) -> None:
    # scripts are sent without comments and empty lines
    assert not re.search(r"@['\"]$", path.read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("name", PROBES)
def test_what_is_sent_is_whole(name: str) -> None:
    text = script(name)
    assert broken(text.encode()) == []
    assert not re.search(r"^[ \t]*(#|$)", text.rstrip("\n"), re.MULTILINE)
    defined = re.findall(r"^function ([\w-]+)", text, re.MULTILINE)
    assert len(defined) == len(set(defined))
    _, functions = shared()
    own = re.findall(r"^function ([\w-]+)", (FOLDER / f"{name}.ps1").read_text("utf-8"), re.MULTILINE)
    assert not set(own) & functions.keys(), "a shared function exists once"
    words = set(re.findall(r"[\w-]+", text))
    assert set(defined) - set(own) == words & functions.keys(), "what is used is sent, and nothing else"


def test_a_function_brings_those_that_it_uses() -> None:
    functions = {"Get-A": "Get-B", "Get-B": "Get-C 1", "Get-C": "x", "Get-D": "Get-A"}
    assert scripts.used_functions("$a = Get-A", functions) == ["Get-A", "Get-B", "Get-C"]


@pytest.mark.parametrize("path", texts(), ids=names)
def test_a_file_has_no_mark_and_no_character_that_a_code_page_could_change(path: Path) -> None:
    assert path.read_bytes().isascii()


@pytest.mark.parametrize("path", texts(), ids=names)
def test_the_variable_of_piped_input_is_named_nowhere(path: Path) -> None:
    # its mere presence makes PowerShell drain stdin before the first statement
    assert not re.search(r"\$input\b", path.read_text("utf-8"), re.IGNORECASE)


@pytest.mark.parametrize("path", texts(), ids=names)
def test_no_array_goes_through_a_block(path: Path) -> None:
    # an array that an if or a try emits is taken apart: bytes would arrive as boxed objects, one of them as no array
    assert not re.search(
        r"=\s*(if|try|foreach|switch)\b[^\n]*(FromBase64String|GetBytes|ToArray|byte\[\])", path.read_text("utf-8")
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_lines_are_constants_that_fit(name: str) -> None:
    command = COMMANDS[name]
    assert broken(decoded(command).encode()) == []
    assert len(decoded(command)) < 3000
    assert len(" ".join(command)) < 8000
    assert command[0] == "powershell.exe"
    assert not set(" ".join(command)) & set("%^&|<>\"'!")


def test_only_the_process_of_one_call_names_it() -> None:
    assert "$input" not in decoded(COMMANDS["worker"])
    assert "$input" in decoded(COMMANDS["one call"])


def test_the_worker_goes_in_one_send() -> None:
    from remediation.connections.winrm.channel import CHUNK

    assert len(base64.b64encode(bootstrap.worker_text())) + 200 < CHUNK


def test_every_op_of_the_protocol_is_there_and_no_other() -> None:
    protocol = (Path(__file__).resolve().parents[2] / "docs" / "worker-protocol.md").read_text("utf-8")
    documented = set(re.findall(r'\| `\{"op": "(\w+)"', protocol))
    worker = bootstrap.worker_text().decode()
    switch = worker.partition("switch -CaseSensitive")[2].partition("default {")[0]
    assert set(re.findall(r"^ {12}'(\w+)' \{", switch, re.MULTILINE)) == documented
