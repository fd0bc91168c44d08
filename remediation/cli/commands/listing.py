"""``play --list-hosts``, ``--list-tasks``, ``--list-tags`` and ``--syntax-check``: list a playbook's content."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TextIO

from remediation.cli.context import read_inventory
from remediation.cli.extra_vars import extra_variables
from remediation.cli.options import PlayOptions as Options
from remediation.cli.resources import PLAYBOOKS, find_resource
from remediation.engine.play.context.run_request import RunRequest
from remediation.engine.play.context.run_state import title_of
from remediation.engine.play.runner import hosts_of
from remediation.engine.play.selection import TaskSelection, selection
from remediation.inventory.ansible_config import ansible_config
from remediation.inventory.secrets import vault_of
from remediation.model.text.words import plural
from remediation.playbook.load import load_playbook
from remediation.playbook.model import Play, tasks_of


def list_selection(options: Options, stream: TextIO) -> int:
    """List what the options select, play by play.

    Raises `InputError` and `UsageError`, as the run would before its first host.
    """
    decrypt = vault_of(options.vault_password_file)
    path = find_resource(PLAYBOOKS, options.playbook)
    extra = extra_variables(options.extra_vars, decrypt=decrypt)
    also = tuple(find_resource(PLAYBOOKS, name) for name in options.also)
    roles_path = ansible_config().paths("roles_path", os.pathsep)
    playbook = load_playbook(path, extra=extra, decrypt=decrypt, roles_path=roles_path, also=also)
    rows = [f"playbook: {path}"]
    if options.list_hosts or options.list_tasks or options.list_tags:
        inventory = read_inventory(options, playbook=path, decrypt=decrypt)
        if options.limit is not None:
            inventory.limit_hosts(options.limit)
        request = RunRequest("play", playbook, inventory, limit=options.limit, extra=extra)
        chosen = selection(options.tags, options.skip_tags, options.start_at_task or "", playbook)
        for play in playbook.plays:
            rows += ["", f"  play #{play.index + 1} ({title_of(play, extra)})", *_rows(play, request, chosen, options)]
    stream.writelines(f"{row}\n" for row in rows)
    return 0


def _rows(play: Play, request: RunRequest, chosen: TaskSelection, options: Options) -> Iterator[str]:
    if options.list_hosts:
        hosts = hosts_of(play, request)
        yield f"    {plural(len(hosts), 'host')}:"
        yield from (f"      {host}" for host in hosts)
    tasks = [task for section in play.sections for task in tasks_of(section) if chosen.selects_tags(task.settings.tags)]
    if options.list_tasks:
        yield f"    {plural(len(tasks), 'task')}:"
        for task in tasks:
            tags = ", ".join(sorted(task.settings.tags))
            yield f"      {task.title}" + (f"  [{tags}]" if tags else "")
    if options.list_tags:
        yield f"    tags: {', '.join(sorted({tag for task in tasks for tag in task.settings.tags})) or 'none'}"
