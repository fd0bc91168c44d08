"""The real program: help texts, exit codes, and that no mistake on the command line gives a traceback."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from invoke.parser.context import ParserContext

from remediation import __version__
from remediation.cli.main import namespace
from remediation.cli.plugins import add_commands
from tests.cli.processes import ROOT, Remediate

SHORT = {
    "C": "check",
    "D": "diff",
    "e": "extra-vars",
    "f": "forks",
    "i": "inventory",
    "l": "limit",
    "t": "tags",
    "v": "verbose",
}
"""All short flags there are; people's fingers rely on them."""

INVOKE = ("-m", "invoke")

add_commands(namespace)


def contexts() -> list[ParserContext]:
    return list(namespace.to_contexts())


@pytest.mark.parametrize("context", contexts(), ids=lambda context: str(context.name))
def test_short_flags_are_the_fixed_ones(context: ParserContext) -> None:
    short = {name: argument.names[0] for argument in context.args.values() for name in argument.names if len(name) == 1}
    assert {name: SHORT.get(name) for name in short} == short


@pytest.mark.parametrize("context", contexts(), ids=lambda context: str(context.name))
def test_every_option_and_task_explains_itself(context: ParserContext) -> None:
    assert all(argument.help for argument in context.args.values())
    assert namespace[str(context.name)].__doc__


def test_help_shows_the_short_flags_next_to_their_options(remediate: Remediate) -> None:
    text = remediate("--help", "steps").stdout
    assert "Usage: remediate steps [--options]" in text
    assert re.search(r"-v, --verbose", text)


def test_help_of_the_program_offers_nothing_that_is_refused(remediate: Remediate) -> None:
    text = remediate("--help").stdout
    assert "-R, --dry" in text
    assert not re.search(r"--(echo|pty|hide|warn-only|command-timeout|prompt-for-sudo-password)", text)


def test_version(remediate: Remediate) -> None:
    done = remediate("--version")
    assert (done.returncode, done.stdout) == (0, f"remediate {__version__}\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["fix-ofload"], "unknown task 'fix-ofload'"),
        (["steps", "--nmae", "x"], "steps has no option --nmae; did you mean --name?"),
        (["steps", "--name"], "--name needs a value"),
        (["steps", "--name", "a", "--name", "b"], "--name was given twice"),
        (["steps", "steps"], "one task per command line"),
        (["--pty", "steps"], "invoke's option --pty is not supported"),
        (["steps", "--name", "no.such.step"], "unknown step 'no.such.step'"),
    ],
)
def test_a_wrong_command_line_ends_1_with_one_sentence(remediate: Remediate, words: list[str], sentence: str) -> None:
    done = remediate(*words)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(sentence)
    assert "Traceback" not in done.stderr


def test_plain_invoke_holds_the_same_tasks(remediate: Remediate) -> None:
    listed = remediate("--list", cwd=ROOT, program=INVOKE).stdout
    ours = remediate("--list").stdout
    rows = [line.split()[0] for line in ours.splitlines()[1:] if line.strip()]
    assert rows
    assert rows == [line.split()[0] for line in listed.splitlines()[1:] if line.strip()]


def test_plain_invoke_runs_a_task_and_refuses_swallowed_options(remediate: Remediate) -> None:
    done = remediate("steps", "--json", cwd=ROOT, program=INVOKE)
    assert (done.returncode, done.stderr) == (0, "")
    done = remediate("steps", "--name", "--dry", cwd=ROOT, program=INVOKE)
    assert done.returncode == 1
    assert done.stderr.startswith("--name took '--dry' as its value")
    done = remediate("--echo", "steps", cwd=ROOT, program=INVOKE)
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "invoke's option --echo is not supported")


def test_output_is_utf8_in_every_locale(remediate: Remediate) -> None:
    done = remediate("steps", PYTHONIOENCODING="cp1252")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_working_folder_may_hold_an_invoke_configuration(remediate: Remediate, tmp_path: Path) -> None:
    (tmp_path / "invoke.yaml").write_text("tasks: {auto_dash_names: false}\n", encoding="utf-8")
    assert remediate("steps").returncode == 0
