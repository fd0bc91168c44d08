"""The installed command ``remediate``: an `invoke.Program` with the same tasks as ``tasks.py``."""

from __future__ import annotations

import gc
import os
import sys
import threading
from typing import NoReturn

from invoke.collection import Collection
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.program import Program

from remediation import __version__
from remediation.cli.argv import REFUSED, understand
from remediation.cli.commands import check_host, diagnose, history, inventory, lint, play, report, steps
from remediation.cli.commands.project import completion, doctor, init
from remediation.cli.commands.watching import monitor, watch
from remediation.cli.plugins import add_commands, plugins
from remediation.cli.stdio import install
from remediation.cli.task import INTERRUPTED, OptionTask, end_now, run_guarded
from remediation.model.translation.console import set_language_from_arguments

namespace = Collection(
    play.fix_offload,
    diagnose.diagnose_hosts,
    play.verify,
    play.play,
    history.apply,
    history.resume,
    history.undo,
    history.history,
    history.show,
    check_host.check_host,
    doctor.doctor,
    init.init,
    completion.completion,
    inventory.hosts,
    inventory.variables,
    steps.steps,
    steps.explain,
    lint.lint,
    lint.schema,
    monitor.monitor,
    report.report,
    report.bundle,
    watch.watch,
)
"""The built-in tasks; `add_commands` adds those of plugins when needed."""


GARBAGE = 200_000
"""Allocation threshold of the garbage collector. Starting creates no garbage, and collecting would take a tenth of the time."""

VERSION = {"--version", "-V"}


class RemediateProgram(Program):
    """Invoke's program with clear messages for errors that its parser accepts."""

    namespace: Collection

    def core_args(self) -> list[Argument]:
        """Return invoke's core options, with the help of ``--dry`` adapted."""
        arguments = super().core_args()
        for argument in arguments:
            if argument.name == "dry":
                argument.help = "The same as --check: change nothing."
        return arguments

    def parse_core(self, argv: list[str] | None) -> None:
        """Validate the command line, and pass it to invoke's parser in an order that it cannot misread."""
        self.normalize_argv(argv)
        tasks = self.task_contexts()
        # built-in tasks need no plugins, and finding plugins takes a third of a short start
        if next((word for word in self.argv[1:] if not word.startswith("-")), "") not in tasks and not VERSION & set(self.argv):
            add_commands(self.namespace)
            tasks = self.task_contexts()
        line = understand(self.argv[1:], self.initial_context, tasks, self._example)
        writes_bytecode = sys.dont_write_bytecode
        super().parse_core([self.argv[0], *line.words()])
        sys.dont_write_bytecode = writes_bytecode  # invoke disables the bytecode cache, which would slow down later starts

    def _example(self, name: str) -> str:
        """Return a task's first example without its comment."""
        task = self.namespace[name]
        examples = task.examples if isinstance(task, OptionTask) else ()
        return examples[0].partition("  #")[0].strip() if examples else ""

    def task_contexts(self) -> dict[str, ParserContext]:
        """Return the tasks by name, with their options."""
        return {str(context.name): context for context in self.namespace.to_contexts()}

    def print_help(self) -> None:
        """Print the supported options and the tasks."""
        print(f"Usage: {self.binary} TASK [arguments] [--options]\n\nCore options:\n")
        shown = [argument for argument in self.core_args() if argument.names[0] not in REFUSED]
        context = self.initial_context.__class__(args=shown)
        self.print_columns(context.help_tuples())
        self.list_tasks()

    def print_task_help(self, name: str) -> None:
        """Print a task's usage, description and options."""
        context = self.parser.contexts[name]
        positional = "".join(f" {str(argument.name).upper()}" for argument in context.positional_args)
        text = (self.collection[name].__doc__ or "").strip()
        print(f"Usage: {self.binary} {name}{positional} [--options]\n")
        for line in text.splitlines():
            print(f"{self.leading_indent}{line.strip()}".rstrip())
        print("\nOptions:\n")
        self.print_columns(context.help_tuples() or [("none", "")])
        task = self.collection[name]
        if isinstance(task, OptionTask) and task.examples:
            print("Examples:\n")
            for example in task.examples:
                print(f"{self.leading_indent}{example}")
            print()


WELCOME = """\
remediate doctor                       check this machine and the first host
remediate init my-fleet                write a small project for your hosts
{trial}
remediate diagnose --evidence LOG      name the cause in a log
remediate --list                       all commands; COMMAND --help: examples
"""
"""What to do next, printed for a command line without words. Fits 80 columns."""

WITH_LAB = "remediate fix-offload --inventory lab  repair a simulated laptop"
WITHOUT_LAB = "remediate fix-offload --check          show what a repair here would do"


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    gc.set_threshold(GARBAGE)
    install()
    set_language_from_arguments(sys.argv if argv is None else argv)
    program = RemediateProgram(version=__version__, namespace=namespace, name="remediate", binary="remediate")
    code = run_guarded(lambda: _run(program, argv))
    if code == INTERRUPTED and threading.active_count() > 1:
        end_now(code)
    sys.exit(code)


def _run(program: RemediateProgram, argv: list[str] | None) -> int:
    words = (sys.argv if argv is None else argv)[1:]
    if words[:1] == ["completion"] and completion.WORDS in os.environ:
        add_commands(program.namespace)
        offered = completion.completions("".join(words[1:2]), os.environ[completion.WORDS], program.task_contexts())
        sys.stdout.writelines(f"{each}\n" for each in offered)
        return 0
    if not words:
        sys.stdout.write(WELCOME.format(trial=WITH_LAB if "lab" in plugins() else WITHOUT_LAB))
        return 0
    try:
        program.run(argv)
    except SystemExit as end:  # invoke exits after printing help or a list, and with 1 when it is interrupted
        if isinstance(end.__context__, KeyboardInterrupt):
            raise end.__context__ from None
        return end.code if isinstance(end.code, int) else 0
    return 0


if __name__ == "__main__":
    main()
