"""The rules that invoke's parser lacks, as a table: what is typed, and what is understood or refused."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest
from invoke.collection import Collection
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.program import Program

from remediation import cli
from remediation.cli.argv import INSTEAD, understand
from remediation.cli.task import command_task
from remediation.model.errors import UsageError
from remediation.model.plugin import option, required


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    playbook: str = required("A playbook.")
    check: bool = option("Change nothing.", default=False)
    verbose: bool = option("Say more.", default=False, short="v")
    limit: str | None = option("Hosts.", short="l")
    extra_vars: tuple[str, ...] = option("A variable.", default=(), short="e")
    inventory: tuple[str, ...] = option("An inventory.", default=(), short="i")
    forks: int = option("Threads.", default=5)
    diff: bool = option("Show differences.", default=False, short="D")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NoOptions:
    pass


@command_task(Options)
def play(_: Options) -> int:
    """Run a playbook."""
    return 0


@command_task(NoOptions, name="start")
def start(_: NoOptions) -> int:
    """Start."""
    return 0


@command_task(NoOptions)
def fix_offload(_: NoOptions) -> int:
    """Repair."""
    return 0


def contexts() -> dict[str, ParserContext]:
    collection = Collection(play, fix_offload)
    collection.add_collection(Collection("lab", start))
    return {str(context.name): context for context in collection.to_contexts()}


CORE = Program(namespace=Collection(play)).initial_context

UNDERSTOOD = [
    ("play a.yml", "play a.yml"),
    ("play --check a.yml", "play a.yml --check"),
    ("play a.yml -e a=1 -e b=2", "play a.yml -e a=1 -e b=2"),
    ("play a.yml --extra-vars=a=1", "play a.yml --extra-vars a=1"),
    ("play a.yml -i one -i two -l web", "play a.yml -i one -i two -l web"),
    ("play a.yml -ilab", "play a.yml -i lab"),
    ("play a.yml -vv", "play a.yml -v -v"),
    ("play --dry a.yml", "--dry play a.yml"),
    ("play a.yml -R", "-R play a.yml"),
    ("-R play a.yml", "-R play a.yml"),
    ("play --help", "--help play"),
    ("play -h", "--help play"),
    ("--help play", "--help play"),
    ("--list lab", "--list lab"),
    ("--version", "--version"),
    ("lab.start", "lab.start"),
    ("play play", "play play"),
    ("play a.yml --forks 3", "play a.yml --forks 3"),
    ("play - --check", "play - --check"),
    ("", ""),
]

REFUSED = [
    ("plya a.yml", "unknown task 'plya'; did you mean 'play'?"),
    ("fix_offload", "unknown task 'fix_offload'; did you mean 'fix-offload'?"),
    ("strat", "unknown task 'strat'; did you mean 'lab.start'?"),
    ("lab", "lab is a group of tasks"),
    ("play", "play needs PLAYBOOK"),
    ("play --check", "play needs PLAYBOOK"),
    ("play a.yml --chekc", "play has no option --chekc; did you mean --check?"),
    ("play --chekc a.yml", "play has no option --chekc; did you mean --check?"),
    ("play a.yml -x", "play has no option -x"),
    ("--chekc play", "remediate has no option --chekc"),
    ("--check play a.yml", "--check must follow the task"),
    ("play a.yml --limit", "--limit needs a value"),
    ("play a.yml --limit --check", "--limit needs a value, but --check follows"),
    ("play a.yml -e --check", "-e needs a value, but --check follows"),
    ("play a.yml --inventory --dry", "--inventory needs a value, but --dry follows"),
    ("play a.yml -e=--check", "-e needs a value, but --check follows"),
    ("play a.yml --limit a --limit b", "--limit was given twice"),
    ("play a.yml --limit a -l b", "--limit was given twice"),
    ("play a.yml --forks many", "--forks needs a whole number, got 'many'"),
    ("play a.yml --check=yes", "--check is a switch and takes no value"),
    ("play a.yml b.yml", "one playbook per command line: a.yml, then b.yml"),
    ("play a.yml b", "play does not take 'b'"),
    ("site.yml", "unknown task 'site.yml'"),
    ("ansible-playbook site.yml", "unknown task 'ansible-playbook'"),
    ("-l play a.yml", "-l must follow the task"),
    ("-l web play a.yml", "-l must follow the task"),
    ("-D play a.yml", "-D must follow the task"),
    ("play a.yml -F", "play has no option -F"),
    ("-F json play a.yml", "-F lists the tasks of remediate and cannot be combined with a task"),
    ("play a.yml --list-format json", "--list-format lists the tasks"),
    ("--list-format nosuch --list", "--list-format takes flat, nested, json, not 'nosuch'"),
    ("-f 5 play a.yml", "invoke's option -f is not supported"),
    ("-f nofile", "invoke's option -f is not supported"),
    ("-d play a.yml", "invoke's option -d is not supported"),
    ("--prompt-for-sudo-password play a.yml", "invoke's option --prompt-for-sudo-password is not supported"),
    ("play a.yml -b", "play does not have ansible-playbook's option -b"),
    ("play a.yml -bK", "play does not have ansible-playbook's option -b"),
    ("play a.yml --become-user=x", "play does not have ansible-playbook's option --become-user"),
    ("play a.yml --syntax-check", "play does not have ansible-playbook's option --syntax-check"),
    ("play a.yml --step", "play does not have ansible-playbook's option --step"),
    ("-u root play a.yml", "remediate does not have ansible-playbook's option -u"),
    ("play a.yml --limit=", "--limit was given an empty value"),
    ("play a.yml -e=", "-e was given an empty value"),
    ("play a.yml -e a=1 b=2", "'b=2' belongs to no option"),
    ("play a.yml fix-offload", "one task per command line: play, then fix-offload"),
    ("--echo play a.yml", "invoke's option --echo is not supported"),
    ("--pty play a.yml", "invoke's option --pty is not supported"),
    ("-p play a.yml", "invoke's option -p is not supported"),
    ("--hide=both play a.yml", "invoke's option --hide is not supported"),
    ("-w play a.yml", "invoke's option -w is not supported"),
    ("play a.yml --warn-only", "invoke's option --warn-only is not supported"),
    ("play a.yml --pty", "invoke's option --pty is not supported"),
    ("-T 5 play a.yml", "remediate does not have ansible-playbook's option -T"),
    ("--help plya", "unknown task 'plya'"),
    ("play a.yml -- rest", "a bare -- is not supported"),
]


@pytest.mark.parametrize(("typed", "read"), UNDERSTOOD)
def test_valid_words_are_put_in_one_order(typed: str, read: str) -> None:
    assert " ".join(understand(typed.split(), CORE, contexts()).words()) == read


@pytest.mark.parametrize(("typed", "message"), REFUSED)
def test_invalid_words_are_refused_in_one_sentence(typed: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        understand(typed.split(), CORE, contexts())
    assert caught.value.message.startswith(message)
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["play", "a.yml", "-l", ""], "-l was given an empty value"),
        (["play", "a.yml", "--inventory", " "], "--inventory was given an empty value"),
        (["play", ""], "play was given an empty argument"),
        ([""], "unknown task ''"),
        (["play", "a\udcff.yml"], r"the argument a\udcff.yml is not UTF-8 text"),
        (["play", "a.yml", "-e", "x=\udcff"], r"the argument x=\udcff is not UTF-8 text"),
    ],
)
def test_what_is_empty_or_no_text_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        understand(words, CORE, contexts())
    assert caught.value.message == message


@pytest.mark.parametrize("option", sorted(INSTEAD))
def test_each_option_of_ansible_says_what_to_do_instead(option: str) -> None:
    with pytest.raises(UsageError) as caught:
        understand(["play", "a.yml", option], CORE, contexts())
    assert caught.value.next_step
    assert "did you mean" not in str(caught.value)


def test_every_error_of_the_command_line_says_what_to_do_next() -> None:
    """The errors that the modules of the command line raise; a sentence alone leaves the reader with nothing to do."""
    silent = [
        f"{path.name}:{node.lineno}"
        for path in sorted(Path(cli.__path__[0]).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "UsageError"
        if not any(word.arg in {"next_step", None} for word in node.keywords)
    ]
    assert silent == []


def test_completion_words_are_left_to_invoke() -> None:
    words = ["--complete", "--", "remediate", "play", "--"]
    assert understand(words, CORE, contexts()).words() == words


@pytest.mark.parametrize(
    ("typed", "message"),
    [("lab.fault", "lab.fault needs HOST FAULT"), ("lab.fault a", "lab.fault needs HOST FAULT; FAULT is missing")],
)
def test_a_missing_word_is_named_with_the_order_and_an_example(typed: str, message: str) -> None:
    known = {"lab.fault": ParserContext("lab.fault", args=[Argument(name=name, positional=True) for name in ("host", "fault")])}
    with pytest.raises(UsageError) as caught:
        understand(typed.split(), CORE, known, {"lab.fault": "remediate lab.fault laptop-07 num-gpu-1"}.__getitem__)
    assert caught.value.message == message
    assert caught.value.next_step == "remediate lab.fault HOST FAULT, such as: remediate lab.fault laptop-07 num-gpu-1"
