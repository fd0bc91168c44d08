"""The docker command: which words mean what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from remediation_lab.programs import MISSING, Call, Done, failed, printed
from remediation_lab.programs.docker import compose, containers, desktop, records, stats, versions
from remediation_lab.programs.docker import info as about
from remediation_lab.programs.docker.arguments import Usage, parse
from remediation_lab.programs.docker.formats import compact, created_at, instant, pretty, rows, template
from remediation_lab.wire import Refusal

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

Command = Callable[["Machine", Call, list[str]], Done]
_GLOBAL = "host H context c config log-level l"


def docker(machine: Machine, call: Call) -> Done:
    """Run one docker command."""
    if machine.state.engine.desktop is None:
        raise Refusal("not-found", MISSING)
    try:
        return _run(machine, call)
    except Usage as error:
        return failed(
            f"{error.text}\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]\n\nRun 'docker --help' for more information", rc=error.rc
        )
    except Refusal as refusal:
        if refusal.kind in {"timeout", "rebooted"}:
            raise
        return failed(refusal.message)


def _run(machine: Machine, call: Call) -> Done:
    given = parse(call.argv[1:], values=_GLOBAL, switches="debug D tls tlsverify version v", stop=True)
    if given.has("version", "v"):
        return printed(f"Docker version {machine.state.engine.version}, build bde2b89\n")
    context = given.one("context", "c")
    if context and context not in {"default", "desktop-linux"}:
        missing = "open C:\\Users\\ops\\.docker\\contexts\\meta: The system cannot find the path specified."
        text = f'unable to resolve docker endpoint: context "{context}": context not found: {missing}'
        return failed(f"Failed to initialize: {text}")
    words = given.rest
    if not words:
        return printed("\nUsage:  docker [OPTIONS] COMMAND\n\nA self-sufficient runtime for containers\n")
    if words[0] == "compose":
        return compose.compose(machine, replace(call, argv=("docker-compose", *words[1:])))
    name, rest = (" ".join(words[:2]), words[2:]) if words[0] in _GROUPS else (words[0], words[1:])
    name = name.removeprefix("container ")
    command = _COMMANDS.get(name)
    if command is None:
        return failed(f"docker: unknown command: docker {name}\n\nRun 'docker --help' for more information")
    problem = "" if name in _OFFLINE else about.problem(machine)
    return _unanswered(name, problem) if problem else command(machine, call, rest)


def _unanswered(name: str, problem: str) -> Done:
    return failed(problem, stdout="[]\n" if name in {"inspect", "volume inspect", "image inspect", "network inspect"} else "")


def _version(machine: Machine, _: Call, words: list[str]) -> Done:
    given = parse(words, values="format f")
    problem = about.problem(machine)
    up = not problem
    whole: dict[str, Any] = {"Client": versions.client(machine), "Server": versions.server(machine) if up else None}
    style = given.one("format", "f")
    error = b"" if up else f"{problem}\n".encode()
    if style == "json":
        out = compact(whole) + "\n"
    elif style:
        out = template(style, whole) + "\n" if up else ""
    else:
        lines = [
            "Client:",
            f" Version:           {whole['Client']['Version']}",
            f" API version:       {whole['Client']['ApiVersion']}",
        ]
        lines += [" OS/Arch:           windows/amd64", " Context:           desktop-linux"]
        if up:
            lines += [
                "",
                f"Server: {whole['Server']['Platform']['Name']}",
                " Engine:",
                f"  Version:          {whole['Server']['Version']}",
            ]
            lines += [
                f"  API version:      {whole['Server']['ApiVersion']} (minimum version 1.24)",
                "  OS/Arch:          linux/amd64",
            ]
        out = "\n".join(lines) + "\n"
    return Done(0 if up else 1, out.encode(), error)


def _info(machine: Machine, _: Call, words: list[str]) -> Done:
    style = parse(words, values="format f").one("format", "f")
    problem = about.problem(machine)
    if style == "json":
        out = compact(about.info(machine)) + "\n"
    else:
        out = template(style, about.info(machine)) + "\n" if style else about.text(machine)
    # with a format the CLI answers 0 and says the error in ServerErrors as well
    return Done(1 if problem and not style else 0, out.encode(), f"{problem}\n".encode() if problem else b"")


def _context(_: Machine, __: Call, words: list[str]) -> Done:
    style = parse(words, values="format f", switches="quiet q").one("format", "f")
    found = [
        {"Current": name == "desktop-linux", "Description": text, "DockerEndpoint": at, "Error": "", "Name": name}
        for name, text, at in (
            ("default", "Current DOCKER_HOST based configuration", "npipe:////./pipe/docker_engine"),
            ("desktop-linux", "Docker Desktop", "npipe:////./pipe/dockerDesktopLinuxEngine"),
        )
    ]
    return printed(
        rows(
            style,
            found,
            (("NAME", "Name"), ("DESCRIPTION", "Description"), ("DOCKER ENDPOINT", "DockerEndpoint"), ("ERROR", "Error")),
        )
    )


def _context_show(_: Machine, __: Call, ___: list[str]) -> Done:
    return printed("desktop-linux\n")


def _volumes(machine: Machine, _: Call, words: list[str]) -> Done:
    given = parse(words, values="format filter f", switches="quiet q")
    if given.has("quiet", "q"):
        return printed("".join(f"{each.name}\n" for each in machine.state.volumes))
    found = [
        {
            "Availability": "N/A", "Driver": "local", "Group": "N/A", "Labels": ",".join(f"{key}={value}" for key, value in each.labels.items()),
            "Links": "N/A", "Mountpoint": f"/var/lib/docker/volumes/{each.name}/_data", "Name": each.name, "Scope": "local", "Size": "N/A",
            "Status": "N/A",
        }
        for each in machine.state.volumes
    ]  # fmt: skip
    return printed(rows(given.one("format"), found, (("DRIVER", "Driver"), ("VOLUME NAME", "Name"))))


def _volume_inspect(machine: Machine, _: Call, words: list[str]) -> Done:
    given = parse(words, values="format f")
    found, missing = [], []
    for name in given.rest:
        volume = next((each for each in machine.state.volumes if each.name == name), None)
        if volume is None:
            missing.append(f"Error response from daemon: get {name}: no such volume")
            continue
        found.append(
            {
                "CreatedAt": instant(volume.created)[:19] + "Z", "Driver": "local", "Labels": volume.labels or None,
                "Mountpoint": f"/var/lib/docker/volumes/{name}/_data", "Name": name, "Options": None, "Scope": "local",
            }
        )  # fmt: skip
    style = given.one("format", "f")
    out = "".join(f"{template(style, each)}\n" for each in found) if style else pretty(found)
    return Done(1 if missing else 0, out.encode(), "".join(f"{each}\n" for each in missing).encode())


def _volume_remove(machine: Machine, _: Call, words: list[str]) -> Done:
    given, out = parse(words, switches="force f"), ""
    for name in given.rest:
        users = [each.id for each in machine.state.containers if name in {mount for mount, _ in machine.engine.mounts(each)}]
        if users:
            return failed(f"Error response from daemon: remove {name}: volume is in use - [{', '.join(users)}]", stdout=out)
        before = len(machine.state.volumes)
        machine.state.volumes = [each for each in machine.state.volumes if each.name != name]
        if len(machine.state.volumes) == before:
            return failed(f"Error response from daemon: get {name}: no such volume", stdout=out)
        machine.state.wrote(f"volume rm {name}")
        out += f"{name}\n"
    return printed(out)


def _volume_create(machine: Machine, _: Call, words: list[str]) -> Done:
    given = parse(words, values="label driver d opt o", switches="")
    labels = {key: value for key, _, value in (each.partition("=") for each in given.all("label"))}
    name = given.rest[0] if given.rest else records.image_id(str(machine.clock.now())).removeprefix("sha256:")
    if machine.engine.volume(name, labels):
        machine.state.wrote(f"volume create {name}")
    return printed(f"{name}\n")


def _images(machine: Machine, __: Call, words: list[str]) -> Done:
    given = parse(words, values="format filter f", switches="quiet q all a no-trunc digests")
    found = []
    for image in dict.fromkeys([*(each.image for each in machine.state.containers), *machine.state.images]):
        repository, _, tag = image.partition(":")
        size = "3.21GB" if "ollama" in repository else "184MB"
        found.append(
            {
                "Containers": "N/A", "CreatedAt": created_at(machine.state.booted - 864000), "CreatedSince": "10 days ago",
                "Digest": "<none>", "ID": records.image_id(image)[7:19], "Repository": repository, "SharedSize": "N/A", "Size": size,
                "Tag": tag or "latest", "UniqueSize": "N/A", "VirtualSize": size,
            }
        )  # fmt: skip
    if given.has("quiet", "q"):
        return printed("".join(f"{each['ID']}\n" for each in found))
    columns = (("REPOSITORY", "Repository"), ("TAG", "Tag"), ("IMAGE ID", "ID"), ("CREATED", "CreatedSince"), ("SIZE", "Size"))
    return printed(rows(given.one("format"), found, columns))


_GROUPS = frozenset({"volume", "context", "container", "image", "network", "system"})
_OFFLINE = frozenset({"version", "info", "context ls", "context show", "desktop"})
_COMMANDS: Mapping[str, Command] = {
    "version": _version,
    "info": _info,
    "system info": _info,
    "context ls": _context,
    "context show": _context_show,
    "ps": containers.ps,
    "ls": containers.ps,
    "inspect": containers.inspect,
    "logs": containers.logs,
    "exec": containers.execute,
    "port": containers.port,
    "start": containers.start,
    "stop": containers.stop,
    "restart": containers.restart,
    "kill": containers.kill,
    "rm": containers.remove,
    "volume ls": _volumes,
    "volume inspect": _volume_inspect,
    "volume rm": _volume_remove,
    "volume create": _volume_create,
    "stats": stats.stats,
    "desktop": desktop.desktop,
    "run": containers.run,
    "images": _images,
    "image ls": _images,
}
