"""Checks what a host offers and lacks before a repair; read only.

Each check reports what it found. A failed check names the steps that it blocks and the command that fixes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from remediation.cli.checks import readiness as prepared
from remediation.cli.checks.check import Check, good, missing_check, worth_knowing
from remediation.connections.settings import ConnectionSettings
from remediation.facets.access import HostAccess
from remediation.facets.machine import readiness
from remediation.facets.machine.rights import elevation, is_refusal
from remediation.facets.protocols import Reader
from remediation.facets.silence import BRIEF
from remediation.facets.snapshot import Snapshot, attempt
from remediation.model.errors import DeadlineExceeded, HostError, RemediationError, Unreachable
from remediation.model.facts import Container, Manager, Serving, SessionFacts
from remediation.model.facts.server import PODMAN, reach_advice
from remediation.model.text.words import plural
from remediation.steps.resolve import served_natively

GIB = 1024**3
LISTENER = "winrm quickconfig -transport:https, with a certificate whose name is the host's (docs/windows.md)"


NOTE = "note"
"""Name of a check that holds a note of the connection."""


_SETTINGS = "ollama.environment, ollama.reconfigured"
_FEW = 20
_MANY = 4000
"""Lines of a log that reach back to the start of its server."""


@dataclass(frozen=True, slots=True)
class Preflight:
    """One host's checks; an error may have ended them early.

    ``exit_code`` is 0, 2 if something is missing, 3 if the host is unreachable.
    """

    host: str
    checks: tuple[Check, ...]
    exit_code: int

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.ok is False)

    def to_json(self) -> dict[str, object]:
        """Return the checks as JSON."""
        return {"host": self.host, "exit_code": self.exit_code, "checks": [check.to_json() for check in self.checks]}


def preflight(host: str, access: HostAccess, settings: ConnectionSettings) -> Preflight:
    """Check a host through every facet; never raises `HostError`."""
    checks = [_transport(settings)]
    try:
        reader = access.reader
        session = reader.desktop.session()
    except Unreachable as error:
        checks.append(missing_check("reached", error.message, "everything", error.next_step))
        return Preflight(host, (*checks, *_notes(access)), error.exit_code)
    except HostError as error:
        checks.append(missing_check("session", error.message, "everything", error.next_step))
        return Preflight(host, (*checks, *_notes(access)), error.exit_code)
    checks.append(good("reached", f"as {session.user} by {settings.kind}"))
    checks += _session(session, settings)
    for name, checker in _FACETS.items():
        checks += run_check(name, checker, reader)
    checks += _unreported_checks(access, reader, session, settings)
    checks += _notes(access)
    code = 2 if any(check.ok is False for check in checks) else 0
    return Preflight(host, tuple(checks), code)


def _notes(access: HostAccess) -> list[Check]:
    """Return the connection's notes, even if it failed."""
    return [worth_knowing(NOTE, note) for note in access.notes]


def failed_host(host: str, error: RemediationError) -> Preflight:
    """Return the checks of a host that could not be checked."""
    return Preflight(host, (missing_check("check", error.message, "everything", error.next_step),), error.exit_code)


def _transport(settings: ConnectionSettings) -> Check:
    where = f"{settings.address}:{settings.port}" if settings.port else settings.address
    if settings.kind == "winrm":
        winrm = settings.winrm
        url = f"{winrm.scheme}://{where}{winrm.path}"
        if winrm.scheme == "https" and not winrm.verify:
            cure = "give its certificate as ansible_winrm_ca_trust_path and remove the setting that ignores it"
            return worth_knowing("transport", f"{url}: the certificate is not verified, because the inventory says so", cure=cure)
        if winrm.scheme == "http" and winrm.encryption == "never":
            return missing_check("transport", f"{url}: nothing is encrypted", "", LISTENER)
        how = "certificate verified" if winrm.scheme == "https" else "messages encrypted, no certificate"
        return good("transport", f"{url}, {winrm.transport}, {how}")
    if settings.kind == "ssh":
        keys = {"strict": "host key must be known", "accept-new": "a new host key is accepted once"}
        return good("transport", f"ssh {where}, {keys.get(settings.ssh.host_keys, settings.ssh.host_keys)}")
    return good("transport", "this machine" if settings.kind == "local" else settings.kind)


def _session(session: SessionFacts, settings: ConnectionSettings) -> Iterator[Check]:
    if settings.platform == "windows":
        mode = session.language_mode or "FullLanguage"
        text = f"{session.shell_version or 'unknown version'}, {mode}"
        if mode != "FullLanguage":
            yield missing_check(
                "PowerShell", text, "everything", "use an account without a language restriction (AppLocker, WDAC)"
            )
        else:
            yield good("PowerShell", text)
        if session.desktop_user:
            yield good("desktop", f"{session.desktop_user} is logged in")
        elif "DesktopUser" in session.problems:
            text = f"the desktop user is unknown: {session.problems['DesktopUser']}"
            yield prepared.unreadable("desktop", text, "docker_desktop.restarted, vram.free on programs with a window")
        else:
            blocks = "docker_desktop.restarted, vram.free on programs with a window"
            yield worth_knowing(
                "desktop", "no user is logged in at the desktop", blocks, "log in at the machine's own screen once"
            )
    yield _rights(session, windows=settings.platform == "windows")
    if session.wsl is False:
        yield worth_knowing(
            "WSL", "the distributions belong to another user", "steps that read WSL", "log in as the desktop's user"
        )


def _rights(session: SessionFacts, *, windows: bool) -> Check:
    """Check the login's rights; a login without any rights cannot repair a Windows host."""
    if session.elevated:
        return good("elevated", "administrator" if windows else "root")
    if windows and any(is_refusal(reason) for reason in session.problems.values()):
        text = (
            f"Windows refuses {session.user} every CIM class (programs, memory, GPU counters); it has no administrator rights, which scheduled tasks for "
            "the desktop user, other users' files and Docker also require"
        )
        return missing_check("rights", text, "everything except readings of Ollama and nvidia-smi", elevation(session.user))
    cure = elevation(session.user) if windows else "ansible_become: true, with a login that may use sudo"
    return worth_knowing(
        "elevated", "no administrator rights", "host.rebooted, program.closed and vram.free on others' programs", cure
    )


def run_check(name: str, check: Callable[[Reader], Iterator[Check]], reader: Reader) -> list[Check]:
    """Return the checks of one facet, a failed one if it cannot be read."""
    try:
        return list(check(reader))
    except HostError as error:
        hanging = _HANGING.get(name, "") if isinstance(error, DeadlineExceeded) else ""
        return [missing_check(name, error.message, _BLOCKS.get(name, ""), error.next_step or hanging)]


def _unreported_checks(access: HostAccess, reader: Reader, session: SessionFacts, settings: ConnectionSettings) -> list[Check]:
    """Check what no facet reports: quotas, counters, Docker Desktop, Compose, WSL, the container toolkit."""
    look = Snapshot(lambda: access.connection)
    config = reader.variables.get("docker_config")
    environment = {"DOCKER_CONFIG": str(config)} if config else {}

    docker_needed = not _native(reader)
    # a client whose engine hangs often hangs itself, and has been waited for
    patience = BRIEF if engine_hangs(reader) else readiness.PATIENCE

    def windows(_: Reader) -> Iterator[Check]:
        yield from prepared.windows_checks(
            readiness.windows_readiness(look, environment, patience=patience),
            remote=settings.kind == "winrm",
            docker=docker_needed,
        )

    def desktop(reader: Reader) -> Iterator[Check]:
        yield prepared.docker_desktop(reader.desktop.docker(), needed=docker_needed)

    def posix(reader: Reader) -> Iterator[Check]:
        use = attempt(reader.gpu.use)
        gpu = use is not None and bool(use.gpus)
        yield from prepared.posix_checks(
            readiness.posix_readiness(look, environment, patience=patience),
            gpu=gpu,
            elevated=session.elevated,
            docker=docker_needed,
        )

    if settings.platform == "windows":
        return [*run_check("Docker Desktop", desktop, reader), *run_check("preparation", windows, reader)]
    return run_check("preparation", posix, reader)


def engine_hangs(reader: Reader) -> bool:
    """Whether the engine did not answer within its time limit."""
    try:
        reader.engine.facts()
    except DeadlineExceeded:
        return True
    except HostError:
        pass
    return False


def _system(reader: Reader) -> Iterator[Check]:
    facts = reader.system.facts()
    memory = f", {facts.memory_total / GIB:.0f} GiB of memory" if facts.memory_total else ""
    text = " ".join(filter(None, (f"{facts.hostname}, {facts.os}", facts.version))) + memory
    refused = sorted({reason for reason in facts.problems.values() if is_refusal(reason)})
    if refused:
        yield prepared.unreadable("system", f"{text}; the rest is unknown: {', '.join(refused)}")
    else:
        yield good("system", text)


def _gpu(reader: Reader) -> Iterator[Check]:
    use = reader.gpu.use()
    if not use.gpus:
        yield missing_check("GPU", "no NVIDIA GPU found", _BLOCKS["GPU"], "install NVIDIA's driver: nvidia.com/drivers")
        return
    for gpu in use.gpus:
        model = f", {gpu.driver_model}" if gpu.driver_model else ""
        memory = "memory unknown" if gpu.total is None else f"{gpu.total / GIB:.0f} GiB"
        text = f"{gpu.name}, {memory}, driver {gpu.driver_version}{model}"
        if gpu.problem:
            why, _, cure = gpu.problem.partition(": ")
            yield missing_check("GPU", f"{text}; {why}", _BLOCKS["GPU"], cure)
        else:
            yield good("GPU", text)
    known = sum(1 for process in use.processes if process.vram is not None)
    if not use.reliable and is_refusal(use.why_unreliable):
        yield prepared.unreadable("GPU memory by program", use.why_unreliable, "vram.free")
    elif not use.reliable:
        yield missing_check("GPU memory by program", use.why_unreliable, "vram.free", "winmgmt /resyncperf, then lodctr /R")
    else:
        yield good("GPU memory by program", plural(known, "program"))


def _native(reader: Reader) -> bool:
    """Return whether Ollama runs without Docker, in which case nothing of Docker is missing."""
    if attempt(lambda: served_natively(reader)):
        return True
    target, serving = attempt(reader.target), attempt(reader.services.serving)
    # a native server runs, although it does not answer at the address, or its unit is stopped
    native = serving is not None and (serving.process is not None or serving.unit is not None or _of_podman(serving))
    return target is not None and target.container is None and native


def _of_podman(serving: Serving) -> bool:
    return serving.contained is not None and serving.contained.engine == PODMAN


def _engine(reader: Reader) -> Iterator[Check]:
    try:
        facts = reader.engine.facts()
    except HostError as error:
        if not _native(reader):
            raise
        yield worth_knowing("Docker engine", f"not needed: Ollama runs without a container ({error.message})")
        return
    memory = f", {facts.memory_total / GIB:.0f} GiB" if facts.memory_total else ""
    judge = missing_check if facts.server_errors else good
    yield judge(
        "Docker engine",
        f"{facts.name or facts.os} {facts.version}{memory}" + "".join(f"; {error}" for error in facts.server_errors),
    )


def _compose(reader: Reader) -> Iterator[Check]:
    target = reader.target()
    project = target.project.value if target.project else None
    if project is None and not _native(reader) and attempt(reader.engine.facts) is None:
        text = "unknown: the engine does not list its containers"
        yield worth_knowing("Compose project", text, "compose.environment, stack.up")
        return
    if project is None:
        yield worth_knowing("Compose project", "Ollama runs outside Compose", "compose.environment, stack.up")
        return
    stale = reader.compose.stale(project)
    text = f"{project.name} in {project.working_dir}"
    yield good("Compose project", f"{text}; {', '.join(stale)} differs from its files" if stale else text)


def _ollama(reader: Reader) -> Iterator[Check]:
    stopped = attempt(lambda: _stopped_container(reader))
    if stopped is not None:
        yield missing_check(
            "Ollama", f"the container {stopped.name} is {stopped.status}", _BLOCKS["Ollama"], f"docker start {stopped.name}"
        )
        return
    version = reader.ollama.version()
    models = reader.ollama.models()
    yield good("Ollama", f"{version}, {plural(len(models), 'model')}")


def _stopped_container(reader: Reader) -> Container | None:
    """Return Ollama's container if it does not run."""
    found = reader.target().container
    container = reader.engine.inspect(str(found.value)) if found is not None else None
    return container if container is not None and not container.running else None


def server_checks(reader: Reader) -> Iterator[Check]:
    """Check what serves the model. A host on which nothing is found has its fault in the check of Ollama itself."""
    serving = reader.services.serving()
    if serving.elsewhere is not None:
        yield worth_knowing("server", str(serving.elsewhere), f"{_SETTINGS}, the server's log", serving.elsewhere.next_step)
    if serving.contained is not None:
        yield worth_knowing("server", serving.words, f"{_SETTINGS}, ollama.restarted", reach_advice(serving.contained))
    if serving.manager is Manager.NOTHING:
        return
    yield _manager(serving)
    if serving.others:
        listed = ", ".join(f"process {one.pid} of {one.user} ({one.path or 'unknown path'})" for one in serving.others)
        yield worth_knowing(
            "second server", f"another Ollama server runs here: {listed}", "",
            "stop the one that is not needed: both want the port and the card; its models may be in another folder",
        )  # fmt: skip
    if serving.manager in {Manager.SYSTEMD, Manager.PROCESS}:
        yield _log(reader, serving)
    elif serving.windows is not None and attempt(reader.ollama.version) is None:
        yield from _elsewhere_on_windows(reader)


def _manager(serving: Serving) -> Check:
    unit, process = serving.unit, serving.process
    where = " in WSL" if serving.wsl else ""
    if unit is not None and not unit.pid and unit.state != "active":
        cure = f"{unit.how_to_start}; journalctl -u {unit.short} -n 50"
        return missing_check("server", f"{serving.words}{where} is {unit.state or 'stopped'}", "model.*", cure)
    if unit is not None and unit.needs_reload:
        text = f"{serving.words}{where}; systemd has not read its changed unit files yet"
        return worth_knowing("server", text, "", f"sudo systemctl daemon-reload && sudo systemctl restart {unit.short}")
    if unit is not None and process is not None and process.environment is None:
        text = f"{serving.words}{where}; this login cannot read the environment of its process"
        return worth_knowing("server", text, _SETTINGS, "ansible_become: true, with a login that may use sudo")
    if unit is not None:
        files = sorted({one.file for one in unit.settings if one.wins})
        return good("server", f"{serving.words}{where}" + (f", settings from {', '.join(files)}" if files else ""))
    if serving.users_unit and process is not None:
        cure = f"log in as {process.user}, whose manager starts it"
        return worth_knowing("server", f"{serving.words}{where}", f"{_SETTINGS}, ollama.restarted", cure)
    if serving.manager is Manager.PROCESS and process is not None:
        cure = f"run it as a service (curl -fsSL https://ollama.com/install.sh | sh), or restart it by hand: kill {process.pid}; ollama serve"
        return worth_knowing("server", f"{serving.words}{where}", f"{_SETTINGS}, ollama.restarted", cure)
    if serving.manager is Manager.CONTAINER:
        cure = "define it in a Compose file: docs.docker.com/compose"
        return worth_knowing("server", f"{serving.words}, created without Compose", _SETTINGS, cure)
    return good("server", serving.words)


def _elsewhere_on_windows(reader: Reader) -> Iterator[Check]:
    """Say where a server of Windows listens if it does not answer at the addressed port: only its log tells."""
    try:
        reader.ollama.log(tail=_MANY)
    except HostError as error:
        yield worth_knowing("server log", error.message, f"{_SETTINGS}, the server's log", error.next_step)


def _log(reader: Reader, serving: Serving) -> Check:
    try:
        reader.ollama.log(tail=_FEW)
    except HostError as error:
        blocks = "the diagnosis of past loads; /api/ps and the GPU are judged"
        if serving.manager is Manager.SYSTEMD:
            cure = "sudo usermod -aG systemd-journal LOGIN and a new login, or ansible_become: true"
        else:
            cure = "start it with its output in a file: ollama serve > ollama.log 2>&1"
        return worth_knowing("server log", error.message, blocks, cure)
    return good("server log", "readable")


_FACETS: dict[str, Callable[[Reader], Iterator[Check]]] = {
    "system": _system, "GPU": _gpu, "Docker engine": _engine, "Ollama": _ollama, "server": server_checks, "Compose project": _compose,
}  # fmt: skip
_HANGING = {
    "GPU": "look for the driver's messages (sudo dmesg | grep -iE 'nvrm|xid'; on Windows the event log, source nvlddmkm), then restart the host: a driver that hangs does not recover",
    "Docker engine": prepared.RESTART_ENGINE,
}  # fmt: skip
"""What to do about a program that does not end."""
_BLOCKS = {
    "GPU": "vram.free, every goal on the GPU",
    "Docker engine": "container.*, compose.*, stack.*",
    "Ollama": "model.*",
    "server": _SETTINGS,
    "Compose project": "compose.environment, stack.up",
}
