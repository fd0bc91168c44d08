"""Which tasks a run includes: ``--tags``, ``--skip-tags`` and ``--start-at-task``, as in Ansible."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from remediation.engine.play.context.host_state import HostState
from remediation.model.errors import UsageError
from remediation.playbook.model import Playbook, Task, tasks_of
from remediation.playbook.tasks import INCLUDES
from remediation.templating.yaml.loader import suggestion
from remediation.templating.yaml.located import has_template

UNTAGGED = frozenset({"untagged"})
SPECIAL = frozenset({"all", "always", "never", "tagged", "untagged"})
"""Ansible's tags with a meaning of their own."""


@dataclass(frozen=True, slots=True)
class TaskSelection:
    """The tags to run and to skip, and the task to start at."""

    tags: frozenset[str] = frozenset()
    skip: frozenset[str] = frozenset()
    start_at: str = ""
    start_play: int = 0
    """The first play with a task named ``start_at``; later ones run as a whole."""

    def takes(self, task: Task, host: HostState, rendered: Callable[[], frozenset[str]]) -> bool:
        """Return whether the host runs the task; it runs nothing before ``start_at``. `rendered` returns tags with templates."""
        if self.start_at and not host.began and int(task.path.partition(".")[0]) <= self.start_play:
            host.began = task.name == self.start_at or fnmatchcase(task.name, self.start_at)
            if not host.began:
                return False
        tags = task.settings.tags
        return self.selects_tags(rendered() if any(has_template(tag) for tag in tags) else tags)

    def selects_tags(self, tags: frozenset[str]) -> bool:
        """Return whether a task with these tags is selected."""
        own = tags or UNTAGGED
        return self._has_selected_tag(own) and not self._has_skipped_tag(own)

    def _has_selected_tag(self, own: frozenset[str]) -> bool:
        wanted = self.tags or frozenset({"all"})
        if "always" in own or own & wanted:
            return True
        return "never" not in own and ("all" in wanted or ("tagged" in wanted and own != UNTAGGED))

    def _has_skipped_tag(self, own: frozenset[str]) -> bool:
        if "all" in self.skip:
            return "always" not in own or "always" in self.skip
        return bool(own & self.skip) or ("tagged" in self.skip and own != UNTAGGED)


def selection(tags: Iterable[str], skip: Iterable[str], start_at: str, playbook: Playbook) -> TaskSelection:
    """Return the selection of the command line. Raises `UsageError` for an unknown tag, and if no task matches ``start_at``."""
    first: int | None = 0
    if start_at:
        named = [(play.index, task.name) for play in playbook.plays for section in play.sections for task in tasks_of(section)]
        names = [name for _, name in named]
        first = next((index for index, name in named if name == start_at or fnmatchcase(name, start_at)), None)
        if first is None:
            near = difflib.get_close_matches(start_at, names, n=1)
            next_step = f"did you mean {near[0]!r}?" if near else "give the name of a task in the playbook"
            raise UsageError(f"no task is named {start_at!r}", next_step=next_step)
    found = TaskSelection(_split(tags), _split(skip), start_at, first or 0)
    _check_tags({"--tags": found.tags, "--skip-tags": found.skip}, playbook)
    return found


def _check_tags(given: Mapping[str, frozenset[str]], playbook: Playbook) -> None:
    """Raise `UsageError` for a tag that no task has. Files that are included at run time may have more tags."""
    tasks = [task for play in playbook.plays for task in play.all_tasks()]
    if any(task.action in INCLUDES for task in tasks):
        return
    known = {
        tag
        for tags in (*(play.settings.tags for play in playbook.plays), *(task.settings.tags for task in tasks))
        for tag in tags
    }
    if any(has_template(tag) for tag in known):
        return
    for option, tags in given.items():
        for tag in sorted(tags - known - SPECIAL):
            there = f"known tags: {', '.join(sorted(known))}" if known else "no task in it has a tag; leave the option out"
            raise UsageError(
                f"{option}: no task of {playbook.path.name} has the tag {tag!r}{suggestion(tag, known)}", next_step=there
            )


def _split(given: Iterable[str]) -> frozenset[str]:
    return frozenset(tag.strip() for text in given for tag in text.split(",") if tag.strip())
