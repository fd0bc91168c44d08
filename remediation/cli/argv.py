"""Validates the command line before invoke's parser does, with one sentence per error that names the option and the right name.

`understand` reads the command line by the same declarations as invoke's parser (`ParserContext`) and returns it in one
unambiguous order: core options, the task, its options, its positional arguments. It raises `UsageError` for an unknown task
or option, an option without its value, an iterable option that swallowed another, a single option given twice, more than one
task, and invoke's options that do not apply.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext

from remediation.cli.plugins import INSTALL, not_installed
from remediation.model.errors import UsageError
from remediation.model.text.digits import is_whole

_BECOME = "set become: true in the play or the task, or give -e ansible_become=true"
_LOGIN = (
    "set the login in the inventory (ansible_user, ansible_password, ansible_ssh_private_key_file), or give -e ansible_user=NAME"
)
_ASK_LOGIN = "set ansible_password in the inventory, with a vault or {{ lookup('prompt', 'Password') }}"
_ASK_BECOME = "set ansible_become_password in the inventory, with a vault or {{ lookup('prompt', 'Password') }}"
_CONNECTION = "set ansible_connection in the inventory, or give -e ansible_connection=local"
_SSH = "set the option of that name in the inventory (ansible_ssh_common_args), see docs/connections.md"
_VAULT = "use --vault-password-file, which takes ID@SOURCE as well"
_PROMPT = "use --vault-password-file prompt"
_PLAY = "use it with remediate play"

INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(("-b", "--become"), _BECOME),
    **dict.fromkeys(("--become-user", "--become-method"), "set become_user in the play, or give -e ansible_become_user=NAME; the method is sudo"),
    **dict.fromkeys(("-K", "--ask-become-pass", "--become-password-file", "--become-pass-file"), _ASK_BECOME),
    **dict.fromkeys(("-k", "--ask-pass", "--connection-password-file", "--conn-pass-file"), _ASK_LOGIN),
    **dict.fromkeys(("-u", "--user", "--remote-user", "--private-key", "--key-file"), _LOGIN),
    **dict.fromkeys(("-c", "--connection"), _CONNECTION),
    **dict.fromkeys(("-T", "--timeout"), "set ansible_timeout in the inventory, or timeout on a task"),
    **dict.fromkeys(("--ssh-common-args", "--ssh-extra-args", "--sftp-extra-args", "--scp-extra-args"), _SSH),
    **dict.fromkeys(("--vault-id", "--vault-ids", "--vault-pass-file"), _VAULT),
    **dict.fromkeys(("-J", "--ask-vault-pass", "--ask-vault-password"), _PROMPT),
    **dict.fromkeys(("-M", "--module-path"), "there are no modules; remediate steps lists the steps"),
    **dict.fromkeys(("--list-tasks", "--list-tags", "--list-hosts", "--syntax-check", "--start-at-task", "--tags", "-t", "--skip-tags", "--step", "--flush-cache", "--force-handlers"), _PLAY),
    "--inventory-file": "use --inventory (-i)",
    "--subset": "use --limit (-l)",
}  # fmt: skip
"""What to use instead of each `ansible-playbook` option."""


REFUSED = {
    "collection",
    "command-timeout",
    "config",
    "debug",
    "echo",
    "hide",
    "no-dedupe",
    "prompt-for-sudo-password",
    "pty",
    "search-root",
    "warn-only",
    "write-pyc",
}
"""Options of invoke's command runner and loader, which this program does not use."""

LISTING = ("list", "list-depth", "list-format")
"""Options of invoke that list the tasks instead of running one."""

FORMATS = ("flat", "nested", "json")
"""The values of invoke's ``--list-format``."""

LIKE_ENOUGH = 0.75
"""Minimum similarity of a misspelled name and its suggestion: following a suggestion must not do something else."""

PROGRAM = "remediate"
PLAYBOOK = (".yml", ".yaml")


@dataclass(slots=True)
class CommandLine:
    """A valid command line; each part is a list of words."""

    core: list[str] = field(default_factory=list)
    task: str = ""
    options: list[str] = field(default_factory=list)
    positional: list[str] = field(default_factory=list)

    def words(self) -> list[str]:
        """Return the words in an order that invoke's parser cannot misread; ``--help`` drops the required arguments."""
        if "--help" in self.core:
            return self.core
        return [*self.core, *([self.task] if self.task else []), *self.positional, *self.options]


def understand(
    words: Sequence[str], core: ParserContext, tasks: Mapping[str, ParserContext], example: Callable[[str], str] = lambda _: ""
) -> CommandLine:
    """Parse `words` (without the program's name). `example` returns a use of a task for a message. Raises `UsageError`."""
    for word in words:
        if not word.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in word):
            shown = word.encode("ascii", "backslashreplace").decode()
            raise UsageError(f"the argument {shown} is not UTF-8 text", next_step="type it again, or rename the file")
    if "--complete" in words:  # shell completion; invoke parses those words itself
        return CommandLine(core=list(words))
    if "--" in words:
        raise UsageError("a bare -- is not supported", next_step=f"{PROGRAM} --help lists tasks and options")
    return _CommandLine(list(words), core, tasks, example).read()


class _CommandLine:
    def __init__(
        self, words: list[str], core: ParserContext, tasks: Mapping[str, ParserContext], example: Callable[[str], str]
    ) -> None:
        self.words = words
        self.example = example
        self.core = core
        self.tasks = tasks
        self.line = CommandLine()
        self.seen: set[str] = set()

    def read(self) -> CommandLine:
        while self.words:
            word = self.words.pop(0)
            if word.startswith("-") and word != "-":
                self.flag(word)
            elif not self.line.task:
                self.line.task = self.known_task(word)
            else:
                self.positional(word)
        self.finish()
        return self.line

    @property
    def context(self) -> ParserContext | None:
        return self.tasks[self.line.task] if self.line.task else None

    def flag(self, word: str) -> None:
        flag, equals, value = word.partition("=")
        if not flag.startswith("--") and len(flag) > len("-e"):
            if self.find(flag[:2]) is None or equals:
                raise self.from_ansible(flag[:2]) or self.unknown(flag)
            first = self.find(flag[:2])
            rest = flag[2:]
            self.words[:0] = [flag[:2], rest] if first and first.takes_value else [flag[:2], *(f"-{letter}" for letter in rest)]
            return
        argument = self.find(flag)
        if argument is None:
            raise self.unknown(flag)
        if self.is_core(flag):
            self.core_flag(flag, argument, value if equals else None)
        else:
            self.line.options += [flag, *self.value_of(flag, argument, value if equals else None)]

    def find(self, flag: str) -> Argument | None:
        for context in (self.context, self.core):
            if context is not None and flag in context.flags:
                argument: Argument = context.flags[flag]
                return argument
        return None

    def is_core(self, flag: str) -> bool:
        return self.context is None or flag not in self.context.flags

    def core_flag(self, flag: str, argument: Argument, value: str | None) -> None:
        if argument.names[0] in REFUSED:
            raise (
                self.misplaced(flag)
                or self.from_ansible(flag)
                or UsageError(f"invoke's option {flag} is not supported", next_step="leave it out")
            )
        if self.is_tasks_own(flag, argument):
            raise self.unknown(flag)
        if argument.name == "help" and self.line.task:
            self.line.core += ["--help", self.line.task]
            return
        if argument.optional:
            self.line.core.append(f"--{argument.names[0]}")
            if value is None and self.words and not self.words[0].startswith("-"):
                value = self.words.pop(0)
            if value is not None:
                if argument.name == "help":
                    value = self.known_task(value)
                self.line.core.append(value)
            return
        given = self.value_of(flag, argument, value)
        if argument.names[0] == "list-format" and given[0] not in FORMATS:
            raise UsageError(f"{flag} takes {', '.join(FORMATS)}, not {given[0]!r}", next_step=f"such as {flag} {FORMATS[0]}")
        self.line.core += [flag, *given]

    def is_tasks_own(self, flag: str, argument: Argument) -> bool:
        """Return whether a short listing flag of invoke belongs to a task here (``-l web play``, ``diagnose -D``)."""
        if argument.names[0] not in LISTING or flag.startswith("--"):
            return False
        return bool(self.line.task) or any(word in self.tasks and flag in self.tasks[word].flags for word in self.words)

    def value_of(self, flag: str, argument: Argument, value: str | None) -> list[str]:
        if not argument.takes_value:
            if value is not None:
                raise UsageError(f"{flag} is a switch and takes no value, got {value!r}", next_step=f"give {flag} alone")
            return []
        if argument.kind is not list:
            if argument.names[0] in self.seen:
                raise UsageError(f"{_option_text(argument)} was given twice", next_step="give it once")
            self.seen.add(argument.names[0])
        if value is None:
            if not self.words:
                raise UsageError(f"{flag} needs a value", next_step=f"give {flag} its value")
            value = self.words.pop(0)
        if not value.strip():
            raise UsageError(f"{flag} was given an empty value", next_step=f"give {flag} its value, or leave it out")
        if value.startswith("-") and value != "-":
            raise UsageError(f"{flag} needs a value, but {value} follows", next_step=f"give {flag} its value")
        if argument.kind is int and not is_whole(value):
            raise UsageError(f"{flag} needs a whole number, got {value!r}", next_step=f"such as {flag}=3")
        return [value]

    def known_task(self, word: str) -> str:
        if word in self.tasks:
            return word
        members = [name for name in self.tasks if name.startswith(f"{word}.")]
        if members:
            raise UsageError(f"{word} is a group of tasks", next_step=f"choose one of {', '.join(members)}")
        if word.endswith(PLAYBOOK) or word.startswith("ansible-playbook"):
            raise UsageError(f"unknown task {word!r}", next_step=f"{PROGRAM} play PLAYBOOK runs a playbook")
        group = word.partition(".")[0]
        if group in INSTALL and not any(name.startswith(f"{group}.") for name in self.tasks):
            raise not_installed(group, word)
        hint = _nearest_task(word, self.tasks)
        raise UsageError(
            f"unknown task {word!r}" + (f"; did you mean {hint!r}?" if hint else ""),
            next_step=f"{PROGRAM} --list shows all tasks",
        )

    def positional(self, word: str) -> None:
        context = self.tasks[self.line.task]
        if not word.strip():
            raise UsageError(
                f"{self.line.task} was given an empty argument",
                next_step=f"{PROGRAM} --help {self.line.task} lists its arguments",
            )
        if len(self.line.positional) < len(context.positional_args):
            self.line.positional.append(word)
            return
        if word in self.tasks:
            raise UsageError(f"one task per command line: {self.line.task}, then {word}", next_step="run them one by one")
        if word.endswith(PLAYBOOK) and any(argument.name == "playbook" for argument in context.positional_args):
            if "--also" not in context.flags:
                raise UsageError(
                    f"one playbook per command line: {self.line.positional[0]}, then {word}",
                    next_step="run them one by one, or import both into a third playbook with import_playbook",
                )
            self.line.options += ["--also", word]
            return
        repeated = next((flag for flag in reversed(self.line.options) if flag.startswith("-")), "")
        if repeated and context.flags[repeated].kind is list:
            raise UsageError(f"{word!r} belongs to no option", next_step=f"repeat {repeated}: {repeated} … {repeated} {word}")
        raise UsageError(
            f"{self.line.task} does not take {word!r}", next_step=f"{PROGRAM} --help {self.line.task} lists its options"
        )

    def unknown(self, flag: str) -> UsageError:
        contexts = [context for context in (self.context, self.core) if context is not None]
        names = [name for context in contexts for name in context.flag_names() if name.lstrip("-") not in REFUSED]
        close = difflib.get_close_matches(flag, [name for name in names if name.startswith("--")], n=1, cutoff=LIKE_ENOUGH)
        owner = self.line.task or PROGRAM
        known = self.misplaced(flag) or self.from_ansible(flag)
        if known is not None:
            return known
        hint = f"; did you mean {close[0]}?" if close else ""
        topic = f" {self.line.task}" if self.line.task else ""
        return UsageError(f"{owner} has no option {flag}{hint}", next_step=f"{PROGRAM} --help{topic} lists the options")

    def misplaced(self, flag: str) -> UsageError | None:
        """Return the error for a task's option in front of the task."""
        takers = [name for name, context in self.tasks.items() if flag in context.flags]
        if self.line.task or not takers:
            return None
        taker = next((name for name in takers if name in self.words), "play" if "play" in takers else takers[0])
        return UsageError(f"{flag} must follow the task", next_step=f"{PROGRAM} {taker} … {flag}")

    def from_ansible(self, flag: str) -> UsageError | None:
        """Return the error for an option of ``ansible-playbook``."""
        instead = INSTEAD.get(flag)
        if instead is None:
            return None
        return UsageError(f"{self.line.task or PROGRAM} does not have ansible-playbook's option {flag}", next_step=instead)

    def finish(self) -> None:
        context = self.context
        if context is None or "--help" in self.line.core:
            return
        listing = next((flag for flag in self.line.core if flag.startswith(("--list", "-F", "-D"))), None)
        if listing is not None:
            raise UsageError(
                f"{listing} lists the tasks of {PROGRAM} and cannot be combined with a task",
                next_step=f"leave out {listing}, or {self.line.task}",
            )
        missing = context.positional_args[len(self.line.positional) :]
        if missing:
            raise self.missing([str(argument.name).upper() for argument in missing])

    def missing(self, names: Sequence[str]) -> UsageError:
        """Return the error for arguments that are not there, with all in their order and an example."""
        context = self.tasks[self.line.task]
        order = " ".join(str(argument.name).upper() for argument in context.positional_args)
        example = self.example(self.line.task)
        wanted = f"{PROGRAM} {self.line.task} {order}"
        return UsageError(
            f"{self.line.task} needs {order}; {' '.join(names)} is missing"
            if self.line.positional
            else f"{self.line.task} needs {order}",
            next_step=f"{wanted}, such as: {example}" if example else wanted,
        )


def _option_text(argument: Argument) -> str:
    name = argument.names[0]
    return f"--{name}" if len(name) > 1 else f"-{name}"


def _nearest_task(word: str, tasks: Iterable[str]) -> str | None:
    names = list(tasks)
    wanted = word.lower().replace("_", "-")
    close = difflib.get_close_matches(wanted, names, n=1)
    if close:
        return close[0]
    ends = {name.rpartition(".")[2]: name for name in names}
    return next((ends[end] for end in difflib.get_close_matches(wanted, ends, n=1)), None)
