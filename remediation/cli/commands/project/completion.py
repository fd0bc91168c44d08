"""``completion``: prints the completion script of a shell. The script starts the program with `WORDS` set to ask for candidates."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext

from remediation.cli.commands.project.bash_line import BashLine
from remediation.cli.options import Completion
from remediation.cli.task import command_task
from remediation.model.errors import RemediationError, UsageError

WORDS = "REMEDIATION_COMPLETE"
"""The variable with the command line that is being typed; see `completions`."""

PATIENCE = 3.0
"""Seconds that an inventory's program may take; the shell waits for it."""

PATTERNS = frozenset({"limit"})

SCRIPTS: Mapping[str, str] = {
    "bash": """\
_remediate() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do COMPREPLY+=("$line"); done < <(
    REMEDIATION_COMPLETE="${COMP_WORDBREAKS//[^:=@]/}"$'\\n'"${COMP_LINE:0:COMP_POINT}" "${1:-remediate}" completion bash 2>/dev/null
  )
}
complete -o default -F _remediate remediate
""",
    "zsh": """\
#compdef remediate
_remediate() {
  local -a found typed
  typed=("${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}")
  found=("${(@f)$(REMEDIATION_COMPLETE="${(F)typed}" "${(Q)words[1]}" completion zsh 2>/dev/null)}")
  if (( ${#found} )) && [[ -n "${found[1]}" ]]; then
    compadd -a found
  else
    compset -P '--*='
    _files
  fi
}
(( ${+functions[compdef]} )) || { autoload -Uz compinit && compinit }
compdef _remediate remediate
""",
    "fish": """\
function __remediate
  set -l typed (commandline -opc) (commandline -ct | string unescape)
  set -q typed[2]; or set typed $typed ""
  set -lx REMEDIATION_COMPLETE (begin
    printf '%s' $typed[2]
    set -q typed[3]; and printf '\\n%s' $typed[3..-1]
  end | string collect -N)
  set -l found ($typed[1] completion fish 2>/dev/null)
  if set -q found[1]
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c remediate -f -a '(__remediate)'
""",
    "powershell": """\
Register-ArgumentCompleter -Native -CommandName remediate -ScriptBlock {
  param($current, $ast, $cursor)
  $typed = @($ast.CommandElements | Select-Object -Skip 1 | Where-Object { $_.Extent.EndOffset -lt $cursor } | ForEach-Object {
    if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $_.Value } else { $_.ToString() }
  })
  $env:REMEDIATION_COMPLETE = (@($typed) + @("$current".Trim([char]34, [char]39))) -join "`n"
  try {
    remediate completion powershell 2>$null | ForEach-Object {
      $word = if ($_ -match '^[\\w./:=-]+$') { $_ } else { "'" + $_.Replace("'", "''") + "'" }
      [System.Management.Automation.CompletionResult]::new($word, $_, 'ParameterValue', $_)
    }
  } finally { Remove-Item Env:REMEDIATION_COMPLETE }
}
""",
}

Candidates = Callable[[Sequence[str]], Iterable[str]]


@command_task(
    Completion,
    examples=(
        'remediate completion bash                           # in ~/.bashrc: eval "$(remediate completion bash)"',
        "remediate completion powershell                     # add its output to $PROFILE",
    ),
)
def completion(options: Completion) -> int:
    """Print the completion script of bash, zsh, fish or powershell: commands, options, hosts, groups, playbooks, runs, steps, faults."""
    if options.shell not in SCRIPTS:
        raise UsageError(f"unknown shell {options.shell!r}", next_step=f"use one of {', '.join(SCRIPTS)}")
    sys.stdout.write(SCRIPTS[options.shell])
    return 0


def completions(shell: str, typed: str, contexts: Mapping[str, ParserContext]) -> list[str]:
    """Return what a shell inserts for the incomplete last word of `typed`, the value of `WORDS`.

    Bash sends the characters that break words, and the line below them; the other shells send their words, one per line.
    """
    if shell != "bash":
        return candidates(typed.split("\n"), contexts)
    breaks, _, text = typed.partition("\n")
    line = BashLine.parse(text, breaks)
    return [line.replacing(word) for word in candidates(line.words[1:] or [""], contexts)]


def candidates(words: Sequence[str], contexts: Mapping[str, ParserContext]) -> list[str]:
    """Return the words that may replace the last one of `words`; none where the shell should offer files."""
    *before, current = words
    task = next((word for word in before if word in contexts), "")
    if not task:
        return _filter_words(contexts, current)
    context = contexts[task]
    before = before[before.index(task) + 1 :]
    last = before[-1] if before else ""
    option = _option(context, last)
    if option is not None and option.takes_value:
        return _complete_value(task, str(option.names[0]), before, current)
    if current.startswith("--") and "=" in current:
        flag, _, value = current.partition("=")
        option = _option(context, flag)
        found = _complete_value(task, str(option.names[0]), before, value) if option is not None and option.takes_value else []
        return [f"{flag}={each}" for each in found]
    if current.startswith("-"):
        return _filter_words((flag for flag in context.flag_names() if flag.startswith("--")), current)
    given = sum(1 for index, word in enumerate(before) if not word.startswith("-") and not _is_value(before, index, context))
    if given < len(context.positional_args):
        return _complete_value(task, str(context.positional_args[given].name), before, current)
    return []


def _complete_value(task: str, name: str, before: Sequence[str], current: str) -> list[str]:
    """Return the values of an option or argument that begin as typed; those of a pattern, for the last of its parts."""
    values = list(_values(task, name, before))
    found = _filter_words(values, current)
    if found or name not in PATTERNS:
        return found
    last = re.split("[,:]", current)[-1].lstrip("!&")
    return [current.removesuffix(last) + each for each in _filter_words(values, last)] if last != current else []


def _option(context: ParserContext, word: str) -> Argument | None:
    """Return the option of a flag, also of a short one: the lexicon's ``get`` does not resolve aliases."""
    with suppress(KeyError):
        option: Argument = context.flags[word]
        return option
    return None


def _is_value(before: Sequence[str], index: int, context: ParserContext) -> bool:
    option = _option(context, before[index - 1]) if index else None
    return option is not None and bool(option.takes_value)


def _filter_words(words: Iterable[str], current: str) -> list[str]:
    return sorted({word for word in words if word.startswith(current)})


def _values(task: str, name: str, before: Sequence[str]) -> Iterable[str]:
    """Return the values of an option or argument; an inventory that cannot be read has none.

    A plugin knows those of its commands: the hosts of ``lab.fault`` are the lab's, not the inventory's.
    """
    from remediation.cli.plugins import plugins
    from remediation.inventory.script import at_most

    with suppress(RemediationError, OSError), at_most(PATIENCE):
        prefix, _, command = task.rpartition(".")
        own = plugins()[prefix].completions.get(f"{command} {name}") if prefix else None
        if own is not None:
            return list(own())
        if name in _SOURCES:
            return list(_SOURCES[name](before))
    return ()


def _inventories(before: Sequence[str]) -> tuple[str, ...]:
    following = itertools.pairwise(before)
    apart = [value for flag, value in following if flag in {"-i", "--inventory"}]
    return (*apart, *(word.partition("=")[2] for word in before if word.startswith("--inventory=")))


def _hosts(before: Sequence[str]) -> Iterable[str]:
    from remediation.cli.context import read_inventory
    from remediation.cli.options import HostOptions

    inventory = read_inventory(HostOptions(inventory=_inventories(before)))
    return inventory.hosts


def _patterns(before: Sequence[str]) -> Iterable[str]:
    from remediation.cli.context import read_inventory
    from remediation.cli.options import HostOptions

    inventory = read_inventory(HostOptions(inventory=_inventories(before)))
    return [*inventory.hosts, *inventory.groups_by_name]


def _resources(kind: str) -> Candidates:
    def read(before: Sequence[str]) -> Iterable[str]:
        from remediation.cli.resources import names

        files = [str(path) for path in sorted(Path(kind).glob("*.y*ml"))] if Path(kind).is_dir() else []
        return [*names(kind), *files]

    return read


def _runs(before: Sequence[str]) -> Iterable[str]:
    from remediation.engine.journal.journal import runs_folder

    return [path.name for path in runs_folder().iterdir() if path.is_dir()]


def _steps(before: Sequence[str]) -> Iterable[str]:
    from remediation.steps.registry import registry

    return registry()


def _causes(before: Sequence[str]) -> Iterable[str]:
    from remediation.model.finding import Cause

    return map(str, Cause)


def _mechanisms(before: Sequence[str]) -> Iterable[str]:
    from remediation.diagnosis.knowledge import knowledge

    return knowledge().mechanisms


def _constant(*words: str) -> Candidates:
    def read(before: Sequence[str]) -> Iterable[str]:
        return words

    return read


_SOURCES: Mapping[str, Candidates] = {
    "inventory": _resources("inventory"),
    "playbook": _resources("playbooks"),
    "limit": _patterns,
    "host": _hosts,
    "yes-destroy": _hosts,
    "run": _runs,
    "source": _runs,
    "name": _steps,
    "fail-on": _causes,
    "mechanism": _mechanisms,
    "max-risk": _constant("safe", "disruptive", "destructive"),
    "notify-as": _constant("json", "slack", "teams", "ntfy"),
    "connection": _constant("local", "ssh", "winrm"),
    "log-level": _constant("debug", "info", "warning", "error"),
    "lang": _constant("en", "es"),
    "of": _constant("playbook", "inventory"),
    "shell": _constant(*SCRIPTS),
}
"""Option or argument -> its values."""
