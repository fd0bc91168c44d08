"""Every command in the documentation and in the help is one that the program takes, with its options and the names of what is shipped."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from invoke.parser.parser import ParseResult

from remediation.cli.commands.project.completion import candidates
from remediation.cli.main import RemediateProgram, namespace
from remediation.cli.plugins import add_commands
from remediation.cli.resources import names
from remediation.cli.task import OptionTask
from remediation.model.errors import RemediationError
from remediation_lab import control
from tests.cli.processes import ROOT

add_commands(namespace)
CONTEXTS = {str(context.name): context for context in namespace.to_contexts()}
PAGES = [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/es").glob("*.md"))]
OTHERS = {"example.flags", "TASK", "COMMAND"}
"""A command of the extending package, and placeholders."""

_BLOCK = re.compile(r"^```(?:bash|sh|console|text|powershell)?\n(.*?)^```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`(remediate [^`]+)`")
_COMMAND = re.compile(r"^(?:\$ |.*&& |.*; )?(?:\S*/|\S*\\|uvx .* |pipx run --spec \. )?remediate (.+)$")


def commands(text: str) -> Iterator[str]:
    """Yield the commands of a page: lines of its blocks, and those in its sentences."""
    for block in _BLOCK.findall(text):
        for line in block.splitlines():
            found = _COMMAND.match(line.strip())
            if found is not None:
                yield found[1]
    for inline in _INLINE.findall(text):
        yield " ".join(inline.split()).removeprefix("remediate ")


def words_of(command: str) -> list[str]:
    """Return a command's words up to a comment, a pipe or another command; ``X...`` and ``[X]`` stand for a word."""
    lexer = shlex.shlex(command.replace("...", "").translate(str.maketrans("[]", "  ")), posix=True, punctuation_chars="|;&>")
    lexer.whitespace_split = True
    found: list[str] = []
    for word in lexer:
        if set(word) <= set("|;&>"):
            break
        found.append(word)
    return found


def parsed(words: list[str]) -> ParseResult:
    """Parse a command line with the program's own parser."""
    program = RemediateProgram(version="0", namespace=namespace, name="remediate", binary="remediate")
    program.create_config()
    program.parse_core(["remediate", *words])
    program.parse_collection()
    program.parse_tasks()
    return program.tasks


@cache
def faults() -> set[str]:
    return {fault for world in control.NAMES for fault in control.faults(world)}


def wrong(command: str) -> str:
    """Return what is wrong with a documented command."""
    words = words_of(command)
    if not words or words[0] in OTHERS:
        return ""
    if words[0] not in CONTEXTS:
        return f"no command {words[0]}"
    bare = [each for each in words[1:] if not each.startswith("-")] == []
    required = CONTEXTS[words[0]].positional_args
    if bare and required:  # a sentence that names the command alone
        unknown = [word for word in words[1:] if word.partition("=")[0] not in CONTEXTS[words[0]].flags]
        return f"no option {unknown[0]}" if unknown and "--help" not in unknown else ""
    try:
        (context,) = (each for each in parsed(words) if each.name in CONTEXTS)
    except (RemediationError, ValueError, SystemExit) as error:
        return (
            "" if str(error).partition("\n")[0] == f"{words[-1]} needs a value" else str(error)
        )  # a sentence that names the option alone
    given = {name: argument.value for name, argument in context.args.items() if argument.value}
    if words[0] == "lab.fault" and given["fault"] not in faults():
        return f"no fault {given['fault']}"
    for option in ("max-risk", "lang", "notify-as", "connection", "of", "shell", "fail-on"):
        value = "".join(given.get(option) or ())
        known = {*candidates([words[0], f"--{option}", ""], CONTEXTS), *candidates([words[0], ""], CONTEXTS)}
        if value and value != value.upper() and value not in known:
            return f"--{option} {value}"
    playbook = str(given.get("playbook", "")) if words[0] == "play" else ""
    shipped = re.fullmatch(r"[a-z-]+(\.yml)?", playbook)
    if shipped and playbook.removesuffix(".yml") not in {*names("playbooks"), "site", "my", "first", "second"}:
        return f"no playbook {playbook}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_exist(page: Path) -> None:
    assert {command: reason for command in commands(page.read_text("utf-8")) if (reason := wrong(command))} == {}


def test_the_pages_have_commands() -> None:
    assert sum(len(list(commands(page.read_text("utf-8")))) for page in PAGES) > 120


@pytest.mark.parametrize(
    "command", ["fix-ofload", "play site --chek", "lab.fault laptop-07 no-such", "fix-offload --max-risk high"]
)
def test_a_wrong_command_is_found(command: str) -> None:
    assert wrong(command)


def test_the_examples_of_help_exist() -> None:
    examples = [
        example.removeprefix("remediate ")
        for name in CONTEXTS
        if isinstance(namespace[name], OptionTask)
        for example in namespace[name].examples
    ]
    assert len(examples) > 40
    assert {each: reason for each in examples if (reason := wrong(each))} == {}
