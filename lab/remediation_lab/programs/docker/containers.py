"""The commands about containers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from remediation_lab.programs import Call, Done, failed, printed
from remediation_lab.programs.docker import inside, records
from remediation_lab.programs.docker.arguments import Given, Usage, parse
from remediation_lab.programs.docker.formats import instant, pretty, rows, template
from remediation_lab.wire import Refusal
from remediation_lab.world.state import Container

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

_COLUMNS = (
    ("CONTAINER ID", "ID"), ("IMAGE", "Image"), ("COMMAND", "Command"), ("CREATED", "RunningFor"), ("STATUS", "Status"),
    ("PORTS", "Ports"), ("NAMES", "Names"),
)  # fmt: skip
_UNITS = {"s": 1, "m": 60, "h": 3600}


def ps(machine: Machine, _: Call, words: list[str]) -> Done:
    """List containers, the newest first."""
    given = parse(words, values="format filter f n last", switches="all a quiet q no-trunc size s latest l")
    found = [each for each in machine.state.containers if each.running or given.has("all", "a")]
    for rule in given.all("filter", "f"):
        found = [each for each in found if _passes(each, rule)]
    found.sort(key=lambda each: -each.created)
    full = given.has("no-trunc")
    if given.has("quiet", "q"):
        return printed("".join(f"{each.id if full else each.id[:12]}\n" for each in found))
    return printed(rows(given.one("format"), [records.ps(machine, each, full=full) for each in found], _COLUMNS))


def _passes(container: Container, rule: str) -> bool:
    key, _, value = rule.partition("=")
    if key == "label":
        name, equals, wanted = value.partition("=")
        return name in container.labels and (not equals or container.labels[name] == wanted)
    known = {"name": container.name, "status": container.status, "id": container.id, "ancestor": container.image}
    if key not in known:
        raise Usage(f"Error response from daemon: invalid filter '{key}'", 1)
    return re.search(value, known[key]) is not None if key == "name" else known[key].startswith(value)


def inspect(machine: Machine, _: Call, words: list[str]) -> Done:
    """Print records."""
    given = parse(words, values="format f type", switches="size s")
    found, missing = [], []
    for name in given.rest:
        container = machine.engine.known(name.removeprefix("/"))
        if container is not None:
            found.append(records.inspect(machine, container))
        elif given.one("type") == "container":
            missing.append(f"Error response from daemon: No such container: {name}")
        else:
            missing.append(f"Error: No such object: {name}")
    style = given.one("format", "f")
    if style == "json":
        style = "{{json .}}"
    out = "".join(f"{template(style, each)}\n" for each in found) if style else pretty(found)
    return Done(1 if missing else 0, out.encode(), "".join(f"{each}\n" for each in missing).encode())


def log_lines(container: Container, given: Given, now: float) -> list[list[Any]]:
    """Return the log's [stream, time, line] that the flags ask for."""
    lines = container.log
    if given.one("since"):
        lines = [each for each in lines if each[1] >= _moment(given.one("since"), now)]
    tail = given.one("tail", "n", default="all")
    if tail != "all":
        try:
            count = int(tail)
        except ValueError as error:
            raise Usage(f'Error response from daemon: invalid value for "tail": {tail}', 1) from error
        lines = lines[-count:] if count > 0 else []
    return lines


def _moment(text: str, now: float) -> float:
    spans = re.findall(r"(\d+(?:\.\d+)?)([smh])", text)
    if spans and "".join(number + unit for number, unit in spans) == text:
        return now - sum(float(number) * _UNITS[unit] for number, unit in spans)
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    from datetime import datetime  # only for a written time

    # Python 3.10 reads six digits of a second and no Z; the engine writes nine and a Z
    plain = re.sub(r"\.(\d+)", lambda match: f".{match[1][:6]:0<6}", text).replace("Z", "+00:00")
    try:
        return datetime.fromisoformat(plain).timestamp()
    except ValueError as error:
        raise Usage(f'invalid value for "since": failed to parse value as time or duration: "{text}"', 1) from error


def logs(machine: Machine, _: Call, words: list[str]) -> Done:
    """Print what a container wrote, each stream to its own."""
    given = parse(words, values="tail n since until", switches="timestamps t follow f details")
    if len(given.rest) != 1:
        raise Usage("docker: 'docker logs' requires 1 argument", 1)
    container = machine.engine.find(given.rest[0])
    streams = {"stdout": "", "stderr": ""}
    for stream, at, line in log_lines(container, given, machine.clock.now()):
        streams[stream] += f"{instant(at)} {line}\n" if given.has("timestamps", "t") else f"{line}\n"
    return Done(0, streams["stdout"].encode(), streams["stderr"].encode())


def execute(machine: Machine, _: Call, words: list[str]) -> Done:
    """Run a program in a container."""
    given = parse(words, values="env e user u workdir w env-file", switches="interactive i tty t detach d privileged", stop=True)
    if len(given.rest) < 2:  # a container and a command
        raise Usage("docker: 'docker exec' requires at least 2 arguments", 1)
    container = machine.engine.find(given.rest[0])
    if not container.running:
        return failed(f"Error response from daemon: Container {container.id} is not running")
    return inside.execute(machine, container, given.rest[1:])


def port(machine: Machine, _: Call, words: list[str]) -> Done:
    """Print published ports."""
    container = machine.engine.find(parse(words).rest[0])
    bound = records.inspect(machine, container)["NetworkSettings"]["Ports"]
    lines = [
        f"{name} -> {'[::]' if each['HostIp'] == '::' else each['HostIp']}:{each['HostPort']}\n"
        for name, hosts in bound.items()
        for each in hosts or ()
    ]
    return printed("".join(lines))


def _each(machine: Machine, words: list[str], what: str, flags: str = "") -> list[Container]:
    given = parse(words, values="time t signal s timeout", switches=flags)
    if not given.rest:
        raise Usage(f"docker: 'docker {what}' requires at least 1 argument", 1)
    found = [machine.engine.find(name) for name in given.rest]
    for each in found:
        machine.state.wrote(f"docker {what} {each.name}")
    return found


def _change(machine: Machine, words: list[str], what: str, change: Callable[[Container], None]) -> Done:
    found = _each(machine, words, what)
    with machine.engine.turn:
        for each in found:
            change(each)
    return printed("".join(f"{each.name}\n" for each in found))


def start(machine: Machine, _: Call, words: list[str]) -> Done:
    """Start containers."""
    return _change(machine, words, "start", machine.engine.start)


def stop(machine: Machine, _: Call, words: list[str]) -> Done:
    """Stop containers."""
    return _change(machine, words, "stop", machine.engine.stop)


def restart(machine: Machine, _: Call, words: list[str]) -> Done:
    """Restart containers."""
    return _change(machine, words, "restart", machine.engine.restart)


def kill(machine: Machine, _: Call, words: list[str]) -> Done:
    """Kill containers: code 137."""
    found = _each(machine, words, "kill")
    with machine.engine.turn:
        for each in found:
            if not each.running:
                return failed(
                    f"Error response from daemon: cannot kill container: {each.name}: container {each.id} is not running"
                )
            machine.engine.stop(each, code=137)
    return printed("".join(f"{each.name}\n" for each in found))


def remove(machine: Machine, _: Call, words: list[str]) -> Done:
    """Remove containers."""
    found = _each(machine, words, "rm", "force f volumes v")
    force = "-f" in words or "--force" in words
    with machine.engine.turn:
        for each in found:
            if each.running and not force:
                text = f'cannot remove container "{each.name}": container is running: stop the container before removing or force remove'
                return failed(f"Error response from daemon: {text}")
            machine.engine.stop(each, code=137)
            machine.engine.remove(each)
    return printed("".join(f"{each.name}\n" for each in found))


def run(machine: Machine, _: Call, words: list[str]) -> Done:
    """Run a one-off container: `/bin/sh -c SCRIPT copy PATH...` between two volumes; like a probe, the script is known by its name."""
    values = "network user u volume v entrypoint name label l pull env e gpus memory"
    given = parse(words, values=values, switches="rm interactive i tty t detach d", stop=True)
    image, *rest = given.rest or [""]
    if image not in {each.image for each in machine.state.containers} | set(machine.state.images):
        if given.one("pull") == "never":
            return failed(f"docker: Error response from daemon: No such image: {image}.", rc=125)
        return failed(f"docker: Error response from daemon: pull access denied for {image}, repository does not exist.", rc=125)
    mounts = {target: source for source, target, *_ in (each.split(":") for each in given.all("volume", "v"))}
    if given.one("entrypoint") != "/bin/sh" or rest[:1] != ["-c"] or rest[2:3] != ["copy"] or {"/from", "/to"} - mounts.keys():
        return failed("docker: the lab runs the script copy in a one-off container, nothing else", rc=125)
    machine.state.wrote(f"copy volume {mounts['/from']} {mounts['/to']}")
    try:
        return printed(f"{machine.engine.copy(mounts['/from'], mounts['/to'], rest[3:])}\n")
    except Refusal as refusal:
        return failed(refusal.message)
