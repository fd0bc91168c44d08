"""The compose plugin."""

from __future__ import annotations

import json
import ntpath
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import yaml

from remediation_lab.compose.interpolate import dotenv
from remediation_lab.compose.project import ComposeError, Project, fingerprint, load
from remediation_lab.programs import Call, Done, failed, printed
from remediation_lab.programs.docker import bringing, building, records
from remediation_lab.programs.docker import info as about
from remediation_lab.programs.docker.arguments import Given, Usage, parse
from remediation_lab.programs.docker.containers import log_lines
from remediation_lab.programs.docker.formats import compact, created_at, instant, rows
from remediation_lab.world.rights import closed
from remediation_lab.world.state import Container

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

_GLOBAL = "file f project-name p project-directory profile env-file progress ansi parallel"
_PS = (
    ("NAME", "Name"), ("IMAGE", "Image"), ("COMMAND", "Command"), ("SERVICE", "Service"), ("CREATED", "RunningFor"), ("STATUS", "Status"),
    ("PORTS", "Ports"),
)  # fmt: skip


def compose(machine: Machine, call: Call) -> Done:
    """Run one compose command."""
    try:
        return _run(machine, call)
    except Usage as error:
        return failed(error.text, rc=error.rc)
    except ComposeError as error:
        return failed(str(error))


def _run(machine: Machine, call: Call) -> Done:
    given = parse(call.argv[1:], values=_GLOBAL, switches="dry-run compatibility all-resources version v", stop=True, rc=1)
    if not given.rest:
        return printed("\nUsage:  docker compose [OPTIONS] COMMAND\n\nDefine and run multi-container applications with Docker\n")
    name, words = given.rest[0], given.rest[1:]
    if name == "version":
        return _version(machine, words)
    if name == "ls":
        problem = about.problem(machine)
        return failed(problem) if problem else _ls(machine, words)
    command = _COMMANDS.get(name)
    if command is None:
        return failed(f'unknown docker command: "compose {name}"')
    project = _project(machine, call, given)
    stamp = f"{instant(machine.clock.now())[:19]}Z"
    warnings = "".join(f'time="{stamp}" level=warning msg="{each}"\n' for each in project.warnings)
    problem = about.problem(machine)
    if name != "config" and problem:
        return failed(warnings + problem)
    done = command(machine, project, words, given)
    return Done(done.rc, done.stdout, warnings.encode() + done.stderr)


def _project(machine: Machine, call: Call, given: Given) -> Project:
    folder = ntpath.normpath(ntpath.join(call.cwd, given.one("project-directory") or "."))
    environment = dict(call.env)
    for name in given.all("env-file"):
        content = _content(machine, ntpath.join(folder, name))
        if content is None:
            raise ComposeError(f"couldn't find env file: {ntpath.join(folder, name)}")
        environment = {**dotenv(content.decode("utf-8", "replace")), **environment}
    files = given.all("file", "f")
    if not files and environment.get("COMPOSE_FILE"):
        files = environment["COMPOSE_FILE"].split(environment.get("COMPOSE_PATH_SEPARATOR", ";"))
    return load(
        lambda path: _content(machine, path),
        folder=folder,
        files=files,
        environment=environment,
        name=given.one("project-name", "p") or None,
    )


def _content(machine: Machine, path: str) -> bytes | None:
    if closed(machine.state, path):
        raise ComposeError(f"open {ntpath.normpath(path)}: Access is denied.")
    return machine.files.get(path)


def _version(machine: Machine, words: list[str]) -> Done:
    given = parse(words, values="format f", switches="short", rc=1)
    version = machine.state.engine.compose
    if given.has("short"):
        return printed(f"{version}\n")
    return printed(
        f'{{"version":"v{version}"}}\n' if given.one("format", "f") == "json" else f"Docker Compose version v{version}\n"
    )


def _ls(machine: Machine, words: list[str]) -> Done:
    given = parse(words, values="format filter", switches="all a quiet q", rc=1)
    projects: dict[str, list[Container]] = {}
    for each in machine.state.containers:
        if each.running or given.has("all", "a"):
            projects.setdefault(each.labels.get("com.docker.compose.project", ""), []).append(each)
    found = []
    for name, members in projects.items():
        states = sorted({each.status for each in members})
        status = ", ".join(f"{state}({sum(each.status == state for each in members)})" for state in states)
        found.append(
            {"Name": name, "Status": status, "ConfigFiles": members[0].labels.get("com.docker.compose.project.config_files", "")}
        )
    if given.one("format") == "json":
        return printed(compact(found) + "\n")
    return printed(rows("", found, (("NAME", "Name"), ("STATUS", "Status"), ("CONFIG FILES", "ConfigFiles"))))


class _Dumper(yaml.SafeDumper):
    """YAML as Compose prints it: lists indented below their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # PyYAML's signature
        super().increase_indent(flow, indentless=False)


def _config(_: Machine, project: Project, words: list[str], __: Given) -> Done:
    given = parse(words, values="format hash output o", switches="services volumes images quiet q no-interpolate profiles", rc=1)
    if given.has("quiet", "q"):
        return printed("")
    listed = _listed(project, given)
    if listed is not None:
        return printed("".join(f"{line}\n" for line in listed))
    if given.one("format", default="yaml") == "json":
        return printed(json.dumps(project.to_json(), indent=2, ensure_ascii=False))
    return printed(yaml.dump(_sparse(project.to_json()), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000))


def _listed(project: Project, given: Given) -> list[str] | None:
    """Return the lines of the forms of `config` that only list something."""
    if given.has("services"):
        return project.order()
    if given.has("volumes"):
        return list(project.volumes)
    if given.has("images"):
        return [str(each["image"]) for each in project.services.values()]
    if given.one("hash"):
        names = sorted(project.services) if given.one("hash") == "*" else given.one("hash").split(",")
        return [f"{name} {fingerprint(_service(project, name))}" for name in names]
    return None


def _sparse(whole: dict[str, Any]) -> dict[str, Any]:
    services = {}
    for name, each in whole["services"].items():
        kept = {key: value for key, value in each.items() if value is not None}
        if "deploy" in kept:
            kept["deploy"] = {key: value for key, value in kept["deploy"].items() if value}
        services[name] = kept
    networks = {name: {"name": each["name"]} for name, each in whole["networks"].items()}
    ordered = {"name": whole["name"], "services": services, "networks": networks}
    return {**ordered, "volumes": whole["volumes"]} if "volumes" in whole else ordered


def _service(project: Project, name: str) -> Mapping[str, Any]:
    if name not in project.services:
        raise ComposeError(f"no such service: {name}")
    return project.services[name]


def _members(machine: Machine, project: Project, names: list[str]) -> list[Container]:
    for name in names:
        _service(project, name)
    return [
        each
        for each in machine.state.containers
        if each.labels.get("com.docker.compose.project") == project.name
        and (not names or each.labels["com.docker.compose.service"] in names)
    ]


def _ps(machine: Machine, project: Project, words: list[str], _: Given) -> Done:
    given = parse(words, values="format filter status", switches="all a quiet q services no-trunc orphans", rc=1)
    found = [each for each in _members(machine, project, given.rest) if each.running or given.has("all", "a")]
    found.sort(key=lambda each: each.name)
    if given.has("quiet", "q"):
        return printed("".join(f"{each.id}\n" for each in found))
    if given.has("services"):
        return printed("".join(f"{each.labels['com.docker.compose.service']}\n" for each in found))
    return printed(rows(given.one("format"), [records.compose_ps(machine, each) for each in found], _PS))


def _logs(machine: Machine, project: Project, words: list[str], _: Given) -> Done:
    given = parse(words, values="tail n since until", switches="no-color no-log-prefix timestamps t follow f", rc=1)
    members = _members(machine, project, given.rest)
    width = max((len(each.name) for each in members), default=0)
    out = ""
    for each in members:
        prefix = "" if given.has("no-log-prefix") else f"{each.name.ljust(width)}  | "
        out += "".join(f"{prefix}{line}\n" for _, _, line in log_lines(each, given, machine.clock.now()))
    return printed(out)


def _images(machine: Machine, project: Project, words: list[str], _: Given) -> Done:
    given = parse(words, values="format", switches="quiet q", rc=1)
    found = [
        {
            "ID": records.image_id(each.image), "ContainerName": each.name, "Repository": each.image.partition(":")[0],
            "Tag": each.image.partition(":")[2] or "latest", "Created": created_at(each.created),
        }
        for each in _members(machine, project, given.rest)
    ]  # fmt: skip
    return printed(compact(found) + "\n" if given.one("format") == "json" else "".join(f"{each['ID'][7:19]}\n" for each in found))


Command = Callable[["Machine", Project, list[str], Given], Done]
_COMMANDS: Mapping[str, Command] = {
    "config": _config,
    "ps": _ps,
    "logs": _logs,
    "images": _images,
    "up": bringing.up,
    "down": bringing.down,
    "stop": bringing.stop,
    "start": bringing.start,
    "restart": bringing.restart,
    "build": building.build,
    "create": building.create,
    "pull": building.pull,
    "rm": building.remove,
    "kill": building.kill,
}
