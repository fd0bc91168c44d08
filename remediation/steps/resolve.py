"""Resolves model names as Ollama does, and the parts of the target that steps need."""

from __future__ import annotations

from collections.abc import Sequence

from remediation.facets.docker.engine import is_forbidden
from remediation.facets.ollama.client import same_name
from remediation.facets.ollama.service_log import LINES, fatal_error
from remediation.facets.protocols import Reader
from remediation.model.errors import CallFailed, DeadlineExceeded, HostError, NotApplicable, NoTarget, Undecided
from remediation.model.facts import ComposeProject, ModelEntry, Runner, ServiceUnit, Target

NO_CONTAINER = "does not apply, because no container runs Ollama here"


def runner_of(model: str, runners: Sequence[Runner]) -> Runner | None:
    """Return the loaded model of this name, or None."""
    return next((runner for runner in runners if same_name(runner.model, model)), None)


def entry_of(model: str, entries: Sequence[ModelEntry]) -> ModelEntry | None:
    """Return the stored model of this name, or None."""
    return next((entry for entry in entries if same_name(entry.name, model)), None)


def resolve_model(given: str | None, host: Reader) -> str:
    """Return `given`, else the target's model. Raises `Undecided` with the candidates if there is none."""
    if given:
        return given
    target = host.target()
    if target.model is not None:
        return str(target.model.value)
    if target.endpoint is None:
        _raise_no_target(host)
    if not target.candidates:
        raise _undecided_error(host, target)
    # the target may have been determined while the server did not answer
    loaded = [runner.model for runner in host.ollama.running() if entry_of(runner.model, host.ollama.models()) is not None]
    if len(loaded) != 1:
        raise _undecided_error(host, target)
    return loaded[0]


def _undecided_error(host: Reader, target: Target) -> Undecided:
    """Return the error that lists the candidate models. Raises the server's error if the server does not answer."""
    if not target.candidates:
        host.ollama.version()  # raises if the server does not answer: its models are unknown then
        host.ollama.models()
    known = " or ".join(f"-e model={name}" for name in target.candidates)
    folder = "" if known else _models_folder(host)
    none = f"the server has none in {folder}" if folder else "the server has none"
    holds = f"the server has {', '.join(target.candidates)}" if known else none
    deleted = f" ({', '.join(target.deleted)} is still loaded but was deleted)" if target.deleted else ""
    return Undecided(
        f"cannot determine the model: {holds}{deleted}",
        host=host.name,
        next_step=f"set it: {known}, or model in the inventory"
        if known
        else _with_folder("pull a model: ollama pull NAME", folder),
    )


def _with_folder(pull: str, folder: str) -> str:
    """Return the next step for a server without models; a folder that its settings name may be the wrong one."""
    return (
        f"{pull}; if it had models: is the disk of {folder} mounted, and is that still the folder (OLLAMA_MODELS)?"
        if folder
        else pull
    )


def _models_folder(host: Reader) -> str:
    """Return the folder of models that the server's settings name, or ""."""
    try:
        serving = host.services.serving()
    except HostError:
        return ""
    running = serving.process.environment if serving.process is not None else None
    return (running or {}).get("OLLAMA_MODELS") or serving.declared.get("OLLAMA_MODELS") or ""


def not_stored(model: str, host: Reader) -> Undecided:
    """Return the error for a model that is not stored, with the models that are."""
    names = [entry.name for entry in host.ollama.models()]
    others = f", or choose a stored model: {' or '.join(f'-e model={name}' for name in names)}" if names else ""
    loaded = runner_of(model, host.ollama.running()) is not None
    return Undecided(
        f"{model} is not stored on this server{' any more, only still loaded' if loaded else ''}",
        host=host.name,
        next_step=f"pull it: ollama pull {model}{others}",
    )


def _raise_no_target(host: Reader) -> None:
    """Raise `NoTarget` with what the host lacks, unless a stopped Docker Desktop may be the reason."""
    lacks = ["no Ollama answers"]
    try:
        host.engine.facts()
        lacks.append("no container runs it")
    except HostError as error:
        if host.system.facts().os == "windows":
            return
        lacks.append(error.message)
    try:
        if not host.gpu.use().gpus:
            lacks.append("no NVIDIA GPU is visible")
    except HostError as error:
        lacks.append(error.message)
    unit = _stopped_unit(host)
    if unit is not None:
        last = _fatal_error(host)
        stopped = f"the service {unit.short} of {host.name} is {unit.state or 'stopped'}, and no other Ollama answers"
        cure = f"{unit.how_to_start}; if it does not stay up: journalctl -u {unit.short} -n 50"
        if last:
            stopped = f"{stopped}; its log ends with: {last}"
            cure = f"remove the cause of that error, then: {cure}"
        raise NoTarget(stopped, host=host.name, next_step=cure)
    raise NoTarget(
        f"nothing on {host.name} serves a model: {', '.join(lacks)}",
        host=host.name,
        next_step="start Ollama or its stack there, or choose another host: --inventory lab provides a simulated one",
    )


def _stopped_unit(host: Reader) -> ServiceUnit | None:
    """Return the systemd unit that would serve Ollama but does not run."""
    try:
        unit = host.services.serving().unit
    except HostError:
        return None
    return unit if unit is not None and not unit.pid else None


def _fatal_error(host: Reader) -> str:
    """Return the error with which the native server ended, or "" if its log does not end with one."""
    try:
        found = fatal_error(host.ollama.log(tail=LINES))
    except HostError:
        return ""
    return found[1] if found is not None else ""


def served_natively(host: Reader) -> bool:
    """Whether Ollama runs on the host without a container. False if the login may not query the engine.

    A server that accepts connections but hangs counts as running: a stopped engine serves no ports of containers.
    """
    target = host.target()
    if target.endpoint is None or target.container is not None or target.project is not None:
        return False
    try:
        host.ollama.version()
    except DeadlineExceeded:
        pass
    except HostError:
        return False
    try:
        host.engine.containers()  # the target was found among them, so that they are known
    except DeadlineExceeded:
        return False
    except CallFailed as error:
        return not is_forbidden(error.output)
    return True


def _not_here(host: Reader) -> NotApplicable:
    return NotApplicable(NO_CONTAINER, host=host.name)


def resolve_container(given: str | None, host: Reader) -> str:
    """Return `given`, else the target's container.

    Raises `NotApplicable` if Ollama runs without a container, and `CallFailed` if none is found.
    """
    if given:
        return given
    target = host.target()
    if target.container is not None:
        return str(target.container.value)
    if served_natively(host):
        raise _not_here(host)
    host.engine.facts()  # raises if the engine refuses or does not answer, which would hide the containers
    raise CallFailed(
        f"no container on {host.name} runs Ollama",
        host=host.name,
        next_step="set container in the inventory, or start the stack",
    )


def resolve_project(host: Reader) -> ComposeProject:
    """Return the Compose project of the target.

    Raises `NotApplicable` if Ollama runs without Compose, and `CallFailed` if no project is found.
    """
    target = host.target()
    found = project_of(target)
    if found is not None:
        return found
    if served_natively(host):
        raise _not_here(host)
    if target.container is not None and host.engine.inspect(str(target.container.value)) is not None:
        text = f"does not apply, because the container {target.container.value} was not created by Compose"
        raise NotApplicable(text, host=host.name)
    host.engine.facts()  # as above
    raise CallFailed(
        f"no Compose project found on {host.name}: no container with Compose's labels runs Ollama",
        host=host.name,
        next_step="start the stack once, or set compose_project, compose_files and compose_dir in the inventory",
    )


def project_of(target: Target) -> ComposeProject | None:
    """Return the target's Compose project, or None."""
    value = target.project.value if target.project is not None else None
    return value if isinstance(value, ComposeProject) else None
