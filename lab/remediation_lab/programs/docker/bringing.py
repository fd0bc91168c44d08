"""Compose's commands that change containers: up, down, stop, start, restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remediation_lab.compose.project import ComposeError, Project, fingerprint
from remediation_lab.programs import Done, failed
from remediation_lab.programs.docker import records
from remediation_lab.programs.docker.arguments import Given, Usage, parse
from remediation_lab.wire import Refusal
from remediation_lab.world.state import Container

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

_UP_SWITCHES = (
    "detach d build no-build force-recreate no-recreate no-deps no-start remove-orphans renew-anon-volumes V quiet-pull wait always-recreate-deps "
    "abort-on-container-exit no-color no-log-prefix y yes"
)
LABEL = "com.docker.compose"


class Progress:
    """What the plugin tells on stderr."""

    def __init__(self, *, dry: bool) -> None:
        self._head = "DRY-RUN MODE - " if dry else ""
        self.text = ""

    def say(self, kind: str, name: str, what: str) -> None:
        """Add one line."""
        self.text += f"{f' {self._head}' if self._head else ''} {kind} {name}  {what}\n"


def _chosen(project: Project, names: list[str], *, alone: bool = False) -> list[str]:
    for name in names:
        if name not in project.services:
            raise ComposeError(f"no such service: {name}")
    wanted = set(names or project.services)
    while not alone:
        more = {other for name in wanted for other in project.services[name].get("depends_on") or {}} - wanted
        if not more:
            break
        wanted |= more
    return [name for name in project.order() if name in wanted]


def _container(machine: Machine, project: Project, name: str) -> Container | None:
    for each in machine.state.containers:
        if each.labels.get(f"{LABEL}.project") == project.name and each.labels.get(f"{LABEL}.service") == name:
            return each
    return None


def _labels(machine: Machine, project: Project, name: str) -> dict[str, str]:
    definition = project.services[name]
    others = definition.get("depends_on") or {}
    return {
        f"{LABEL}.config-hash": fingerprint(definition),
        f"{LABEL}.container-number": "1",
        f"{LABEL}.depends_on": ",".join(f"{other}:{rule['condition']}:false" for other, rule in others.items()),
        f"{LABEL}.image": records.image_id(str(definition.get("image"))),
        f"{LABEL}.oneoff": "False",
        f"{LABEL}.project": project.name,
        f"{LABEL}.project.config_files": ",".join(project.files),
        f"{LABEL}.project.working_dir": project.folder,
        f"{LABEL}.service": name,
        f"{LABEL}.version": machine.state.engine.compose,
    }


class _Up:
    """One `up`: what it works on, and what it tells."""

    def __init__(self, machine: Machine, project: Project, *, dry: bool) -> None:
        self._machine, self._project, self._dry = machine, project, dry
        self.progress = Progress(dry=dry)

    def surroundings(self) -> None:
        """Create the network and the volumes that are missing."""
        machine, project, say = self._machine, self._project, self.progress.say
        network = f"{project.name}_default"
        if network not in machine.state.networks:
            say("Network", network, "Creating")
            say("Network", network, "Created")
            if not self._dry:
                machine.state.networks[network] = machine.clock.now()
        for source, volume in project.volumes.items():
            if any(each.name == volume["name"] for each in machine.state.volumes):
                continue
            if volume.get("external"):
                raise Refusal("error", f'external volume "{volume["name"]}" not found')
            say("Volume", volume["name"], "Creating")
            say("Volume", volume["name"], "Created")
            if not self._dry:
                labels = {
                    f"{LABEL}.project": project.name,
                    f"{LABEL}.version": machine.state.engine.compose,
                    f"{LABEL}.volume": source,
                }
                machine.engine.volume(volume["name"], labels)

    def prepared(self, name: str, *, force: bool) -> Container | None:
        """Bring one service's container to its definition; None in a dry run that would create one."""
        machine, project, say = self._machine, self._project, self.progress.say
        definition = project.services[name]
        there = _container(machine, project, name)
        if there is not None and not force and there.labels.get(f"{LABEL}.config-hash") == fingerprint(definition):
            if there.running:
                say("Container", there.name, "Running")
            return there
        title = self._title(name)
        for what in ("Recreate", "Recreated") if there is not None else ("Creating", "Created"):
            say("Container", title, what)
        if self._dry:
            return None
        machine.state.wrote(f"compose up {name}")
        if there is not None:
            machine.engine.stop(there)
            machine.engine.remove(there)
        volumes = {source: str(each["name"]) for source, each in project.volumes.items()}
        return machine.engine.create(title, definition, _labels(machine, project, name), volumes)

    def started(self, name: str, container: Container | None) -> None:
        """Start one service's container if it does not run."""
        if container is not None and container.running:
            return
        title = container.name if container is not None else self._title(name)
        there = _container(self._machine, self._project, name)
        if container is None and there is not None:
            title = f"{there.id[:12]}_{title}"  # the name a dry run gives to what it would recreate
        self.progress.say("Container", title, "Starting")
        if container is not None and not self._dry:
            self._machine.state.wrote(f"start {name}")
            self._machine.engine.start(container)
        self.progress.say("Container", title, "Started")

    def _title(self, name: str) -> str:
        return str(self._project.services[name].get("container_name") or f"{self._project.name}-{name}-1")


def up(machine: Machine, project: Project, words: list[str], over: Given) -> Done:
    """Create what is missing, recreate what differs, start what does not run."""
    given = parse(words, values="timeout t pull scale wait-timeout attach exit-code-from", switches=_UP_SWITCHES, rc=1)
    dry, force = over.has("dry-run"), given.has("force-recreate")
    if not given.has("detach", "d", "wait") and not dry:
        raise Usage("the lab brings projects up in the background only: add -d", 1)
    task = _Up(machine, project, dry=dry)
    chosen = _chosen(project, given.rest, alone=given.has("no-deps"))
    with machine.engine.turn:
        try:
            task.surroundings()
            ready = {name: task.prepared(name, force=force and (not given.rest or name in given.rest)) for name in chosen}
            for name, container in ready.items():
                if not given.has("no-start"):
                    task.started(name, container)
        except Refusal as refusal:
            return Done(1, b"", f"{task.progress.text}{refusal.message}\n".encode())
    return Done(0, b"", task.progress.text.encode())


def existing(machine: Machine, project: Project, names: list[str]) -> list[Container]:
    """Return the containers of a project that are there, each after those it depends on."""
    chosen = _chosen(project, names, alone=True)
    return [found for name in chosen if (found := _container(machine, project, name)) is not None]


def stop(machine: Machine, project: Project, words: list[str], _: Given) -> Done:
    """Stop services, dependants first."""
    progress = Progress(dry=False)
    with machine.engine.turn:
        for each in reversed(existing(machine, project, parse(words, values="timeout t", rc=1).rest)):
            progress.say("Container", each.name, "Stopping")
            machine.state.wrote(f"compose stop {each.labels[f'{LABEL}.service']}")
            machine.engine.stop(each)
            progress.say("Container", each.name, "Stopped")
    return Done(0, b"", progress.text.encode())


def start(machine: Machine, project: Project, words: list[str], _: Given) -> Done:
    """Start services that were created."""
    progress = Progress(dry=False)
    names = parse(words, switches="wait", rc=1).rest
    found = existing(machine, project, names)
    if not found:
        return failed(f'service "{(names or list(project.services))[0]}" has no container to start')
    with machine.engine.turn:
        for each in found:
            progress.say("Container", each.name, "Starting")
            machine.state.wrote(f"compose start {each.labels[f'{LABEL}.service']}")
            try:
                machine.engine.start(each)
            except Refusal as refusal:
                return Done(1, b"", f"{progress.text}{refusal.message}\n".encode())
            progress.say("Container", each.name, "Started")
    return Done(0, b"", progress.text.encode())


def restart(machine: Machine, project: Project, words: list[str], _: Given) -> Done:
    """Restart services as they were created: a changed definition is not applied."""
    progress = Progress(dry=False)
    with machine.engine.turn:
        for each in existing(machine, project, parse(words, values="timeout t", switches="no-deps", rc=1).rest):
            progress.say("Container", each.name, "Restarting")
            machine.state.wrote(f"compose restart {each.labels[f'{LABEL}.service']}")
            machine.engine.restart(each)
            progress.say("Container", each.name, "Started")
    return Done(0, b"", progress.text.encode())


def down(machine: Machine, project: Project, words: list[str], _: Given) -> Done:
    """Stop and remove everything; with -v the volumes too, and the models in them."""
    given = parse(words, values="timeout t rmi", switches="volumes v remove-orphans", rc=1)
    progress = Progress(dry=False)
    with machine.engine.turn:
        for each in reversed(existing(machine, project, [])):
            progress.say("Container", each.name, "Stopping")
            machine.engine.stop(each)
            progress.say("Container", each.name, "Stopped")
            progress.say("Container", each.name, "Removing")
            machine.engine.remove(each)
            progress.say("Container", each.name, "Removed")
        machine.state.wrote("compose down")
        network = f"{project.name}_default"
        progress.say("Network", network, "Removing")
        if given.has("volumes", "v"):
            for volume in project.volumes.values():
                progress.say("Volume", volume["name"], "Removing")
                machine.state.volumes = [each for each in machine.state.volumes if each.name != volume["name"]]
                machine.state.wrote(f"volume rm {volume['name']}")
                progress.say("Volume", volume["name"], "Removed")
        machine.state.networks.pop(network, None)
        progress.say("Network", network, "Removed")
    return Done(0, b"", progress.text.encode())
