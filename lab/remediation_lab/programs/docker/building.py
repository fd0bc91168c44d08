"""Compose's commands that prepare or clear away: build, create, pull, rm, kill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remediation_lab.compose.project import Project
from remediation_lab.programs import Done, failed
from remediation_lab.programs.docker.arguments import Given, parse
from remediation_lab.programs.docker.bringing import LABEL, Progress, existing, up

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

_BUILD_SECONDS = 20.0


def build(machine: Machine, project: Project, words: list[str], _: Given) -> Done:
    """Build the services that say how; where none does nothing happens."""
    names = parse(words, values="build-arg progress memory m", switches="no-cache pull push quiet q with-dependencies", rc=1).rest
    progress = Progress(dry=False)
    for name in names or list(project.services):
        if name not in project.services:
            return failed(f"no such service: {name}")
        if project.services[name].get("build"):
            machine.clock.sleep(_BUILD_SECONDS)
            machine.state.wrote(f"compose build {name}")
            image = str(project.services[name].get("image") or f"{project.name}-{name}")
            if image not in machine.state.images:
                machine.state.images.append(image)
            progress.say("Service", name, "Built")
    return Done(0, b"", (progress.text or "No services to build\n").encode())


def create(machine: Machine, project: Project, words: list[str], over: Given) -> Done:
    """Create containers without starting them."""
    return up(machine, project, [*words, "-d", "--no-start"], over)


def pull(machine: Machine, project: Project, words: list[str], _: Given) -> Done:
    """Fetch the images; what has no registry is refused."""
    names = parse(words, values="policy", switches="quiet q include-deps ignore-buildable ignore-pull-failures", rc=1).rest
    progress = Progress(dry=False)
    for name in names or list(project.services):
        image = str(project.services[name].get("image"))
        progress.say("", name, "Pulling")
        if not machine.state.online or not image.startswith("ollama/ollama"):
            text = f"Error response from daemon: pull access denied for {image.partition(':')[0]}, repository does not exist"
            return Done(18, b"", f"{progress.text}{text}\n".encode())
        progress.say("", name, "Pulled")
    return Done(0, b"", progress.text.encode())


def remove(machine: Machine, project: Project, words: list[str], _: Given) -> Done:
    """Remove stopped containers, with --stop running ones as well; never a named volume."""
    given = parse(words, switches="force f stop s volumes v", rc=1)
    progress = Progress(dry=False)
    with machine.engine.turn:
        found = existing(machine, project, given.rest)
        chosen = [each for each in found if given.has("stop", "s") or not each.running]
        if not given.has("force", "f") and chosen:
            return failed(
                "? Going to remove " + ", ".join(each.name for each in chosen) + " [yN] cannot ask: the input is no terminal"
            )
        for each in reversed(chosen):
            if each.running:
                progress.say("Container", each.name, "Stopping")
                machine.engine.stop(each)
                progress.say("Container", each.name, "Stopped")
            machine.state.wrote(f"compose rm {each.labels[f'{LABEL}.service']}")
            progress.say("Container", each.name, "Removing")
            machine.engine.remove(each)
            progress.say("Container", each.name, "Removed")
    return Done(0, b"", (progress.text or "No stopped containers\n").encode())


def kill(machine: Machine, project: Project, words: list[str], _: Given) -> Done:
    """Kill running containers."""
    progress = Progress(dry=False)
    with machine.engine.turn:
        for each in existing(machine, project, parse(words, values="signal s", switches="remove-orphans", rc=1).rest):
            if each.running:
                progress.say("Container", each.name, "Killing")
                machine.state.wrote(f"compose kill {each.labels[f'{LABEL}.service']}")
                machine.engine.stop(each, code=137)
                progress.say("Container", each.name, "Killed")
    return Done(0, b"", progress.text.encode())
