"""What a run on workers cannot do, found before any host is touched: things of the controller that a worker does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from remediation.connections.settings import LOCAL_NAMES
from remediation.engine.play.context.run_request import RunRequest
from remediation.engine.play.runner import chosen_hosts
from remediation.engine.play.waves.together import texts_in_task
from remediation.model.errors import Place, RemediationError, UsageError
from remediation.model.secrets.names import sounds_secret
from remediation.playbook.actions import GROWING
from remediation.playbook.model import Play, Task
from remediation.playbook.tasks import INCLUDES
from remediation.templating.templar import Scope
from remediation.templating.yaml.located import place_of, texts_in
from remediation.templating.yaml.secret import Secret

CONTROLLER_LOOKUPS = frozenset(
    {
        "csvfile", "env", "file", "fileglob", "first_found", "ini", "keyring", "lines", "password", "password_command",
        "password_file", "pipe", "prompt", "template", "unvault",
    }
)  # fmt: skip
"""Lookups that read the controller: its files, its environment, its programs, its user."""

_LOOKUP = re.compile(r"\b(?:lookup|query|q)\s*\(\s*['\"]([\w.]+)['\"]")
_SCRIPTS = frozenset({"script", "template", "win_template"})
_COPIES = frozenset({"copy", "win_copy"})
_NEVER: Mapping[str, str] = {
    **{
        name: f"{name} reads a file of the controller when a host reaches it; import it instead"
        for name in (*INCLUDES, "include_vars")
    },
    **{name: f"{name} changes the inventory of all workers" for name in GROWING},
}
_LOCAL = "run it without --executor"


def reads_controller(text: str) -> bool:
    """Return whether a template reads the controller."""
    return any(name.rpartition(".")[2] in CONTROLLER_LOOKUPS for name in _LOOKUP.findall(text))


def refuse_unsupported(request: RunRequest) -> None:
    """Raise `UsageError` for what workers cannot do; one sentence with its place."""
    if request.step:
        raise UsageError("--step asks before each task and cannot be combined with --executor", next_step="leave out one of them")
    for text in texts_in(request.extra):
        if reads_controller(text):
            raise _refusal_of("-e: a lookup reads the controller", place_of(text))
    for play in request.playbook.plays:
        _check_play(play)
    for host in chosen_hosts(request):
        refuse_local(host, _connection(request, host))


def refuse_local(host: str, connection: str) -> None:
    """Raise `UsageError` for a host that is this machine."""
    if connection == "local":
        raise UsageError(
            f"{host}: a local connection is this machine, and a worker would take its own",
            next_step=f"leave it out with --limit, or {_LOCAL}",
        )


def _check_play(play: Play) -> None:
    if play.vars_files:
        raise _refusal_of(
            "vars_files reads a file of the controller", place_of(play.vars_files[0]) or play.place, "use group_vars"
        )
    tables = [play.vars, *(table for role in play.roles for table in (role.defaults, role.vars, role.given, role.params))]
    for text in (text for table in tables for text in texts_in(table)):
        if reads_controller(text):
            raise _refusal_of("a lookup reads the controller", place_of(text) or play.place, "set the variable in the inventory")
    for task in play.all_tasks():
        for problem in _problems(task):
            raise _refusal_of(f"{task.title}: {problem}", task.place)


def _problems(task: Task) -> Iterator[str]:
    settings, arguments = task.settings, task.arguments
    given: Mapping[str, Any] = arguments if isinstance(arguments, Mapping) else {}
    if task.action in _NEVER:
        yield _NEVER[task.action]
    if task.action in _SCRIPTS or (task.action in _COPIES and "src" in given and not given.get("remote_src")):
        yield f"{task.spelling or task.action} reads a file of the controller"
    if task.action == "uri" and given.get("src") and not given.get("remote_src"):
        yield "uri reads a file of the controller"
    if task.action == "meta" and "clear_host_errors" in str(given.get("free_form")):
        yield "meta: clear_host_errors concerns the hosts of all workers"
    if settings.delegate_to is not None:
        yield "delegate_to would change a host that another worker may be working on"
    if settings.throttle is not None:
        yield "throttle counts the hosts of one process"
    if settings.connection is not None and str(settings.connection) == "local":
        yield "connection: local is this machine, and a worker would take its own"
    if task.loop is not None and task.loop.kind.removeprefix("with_") in CONTROLLER_LOOKUPS:
        yield f"{task.loop.kind} reads the controller"
    if any(reads_controller(text) for text in texts_in_task(task)):
        yield "a lookup reads the controller; set the variable in the inventory"


def _refusal_of(problem: str, place: Place | None, instead: str = "") -> UsageError:
    step = f"{instead}, or {_LOCAL}" if instead else _LOCAL
    return UsageError(f"{problem}, which a run with --executor cannot do", next_step=step, place=place)


def _connection(request: RunRequest, host: str) -> str:
    scope = Scope((request.extra, *request.inventory.layers(host), request.inventory.magic(host)))
    if "ansible_connection" not in scope:
        return "local" if host in LOCAL_NAMES else ""
    try:
        return str(scope.render(scope["ansible_connection"]))
    except RemediationError:
        return ""  # the host's own walk reports it


def carries_secrets(request: RunRequest) -> bool:
    """Return whether the variables that the run sends hold a secret, or the template of one."""
    layers = {id(layer): layer for host in chosen_hosts(request) for layer in request.inventory.layers(host)}
    return any(has_secret(value) for value in (request.extra, *layers.values(), *(play.vars for play in request.playbook.plays)))


def has_secret(value: Any, *, named: bool = False) -> bool:
    """Return whether a value is a secret, or holds something under a secret name."""
    if isinstance(value, Mapping):
        return any(has_secret(item, named=named or sounds_secret(str(key))) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return any(has_secret(item, named=named) for item in value)
    return isinstance(value, Secret) or (named and value not in {None, "", True, False})
