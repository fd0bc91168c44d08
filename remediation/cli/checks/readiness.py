"""``check-host``'s checks of what a repair rests on: WinRM's quotas, GPU counters, Docker Desktop, Compose, WSL, the container toolkit.

Pure functions from what a host said to checks; each one that is not met names the steps it blocks and the commands that cure it.
"""

from __future__ import annotations

from collections.abc import Iterator

from remediation.cli.checks.check import Check, good, lacking, worth_knowing
from remediation.facets.machine.readiness import Compose, PosixReadiness, WindowsReadiness
from remediation.facets.machine.rights import is_refusal
from remediation.model.facts import DockerDesktop
from remediation.model.text.digits import is_whole

RIGHTS = "give the login administrator's rights: see rights"
COMPOSE_STEPS = "compose.*, stack.*, env_file.set, volume.recreated"
_LEAST = {
    "MaxShellsPerUser": (2, 30, "Shell", "everything, as soon as another program of this login is at work there"),
    "MaxProcessesPerShell": (10, 25, "Shell", "compose.*, stack.*: PowerShell, docker and its plugins run at a time"),
    "MaxMemoryPerShellMB": (512, 1024, "Shell", "everything that reads much: PowerShell ends with OutOfMemoryException"),
    "MaxConcurrentOperationsPerUser": (20, 1500, "Service", "everything, as soon as another program of this login is at work there"),
    "MaxEnvelopeSizekb": (400, 500, "", "compose.*, env_file.set, file.restored: what they send in one message is larger"),
}  # fmt: skip
"""For each quota the least that works, what Windows has by default, where it is set, and what it blocks below the least."""
_IDLE_LEAST = 180_000
_UNITS = {"MaxMemoryPerShellMB": " MB", "MaxEnvelopeSizekb": " kB"}
_POLICY = (
    "it is set by a policy: gpedit.msc, Computer Configuration, Administrative Templates, Windows Components, Windows Remote {}"
)
_SHELL_CLASSES = ("GPUProcessMemory", "GPUAdapterMemory")
_PREFIX = "Win32_PerfFormattedData_GPUPerformanceCounters_"
_DESKTOP_COMMAND = (4, 37)


def windows_checks(host: WindowsReadiness, *, remote: bool, docker: bool = True) -> Iterator[Check]:
    """Check a Windows host; `remote` says that it is reached over WinRM, `docker` that Ollama does not run without Docker."""
    if remote:
        yield from _quotas(host)
    yield _classes(host)
    yield _wsl(host)
    yield compose(host.compose, windows=True, needed=docker)


def posix_checks(host: PosixReadiness, *, gpu: bool, elevated: bool, docker: bool = True) -> Iterator[Check]:
    """Check a Linux host; `gpu` says that a card is seen there, `docker` that Ollama does not run without Docker."""
    if host.module:
        yield good("kernel module", f"nvidia {host.module}")
    elif gpu:
        yield worth_knowing("kernel module", "its version cannot be read")
    else:
        yield lacking(
            "kernel module", "no NVIDIA module is loaded", "every goal on the GPU", "sudo modprobe -a nvidia nvidia_uvm"
        )
    if "docker" in host.programs:
        yield from _engine_access(host, elevated=elevated, needed=docker)
        if docker:
            yield _toolkit(host)
        yield compose(host.compose, windows=False, needed=docker)
    yield from _units(host)
    if "curl" not in host.programs:
        text = "there is none; where sshd forwards no connections, nothing else asks Ollama"
        yield worth_knowing("curl", text, "model.* behind AllowTcpForwarding no", "sudo apt-get install curl")


def docker_desktop(found: DockerDesktop | None, *, needed: bool) -> Check:
    """Check Docker Desktop; `needed` says that nothing else serves the model there."""
    if found is None:
        judge = lacking if needed else worth_knowing
        cure = "winget install --exact --id Docker.DockerDesktop (at the desktop), then log in there once"
        return judge("Docker Desktop", "is not installed", "docker_desktop.*, container.*, compose.*, stack.*", cure)
    version = found.version or "unknown version"
    if "Installed" in found.problems:
        return untold(
            "Docker Desktop", f"whether it is installed is not known: {found.problems['Installed']}", "docker_desktop.*"
        )
    if "Processes" in found.problems and not found.engine:
        text = f"{version}; whether it runs is not known: {found.problems['Processes']}"
        return untold("Docker Desktop", text, "docker_desktop.*")
    if found.state != "running":
        cure = "remediate play restart-docker-desktop, or start it at the desktop"
        return lacking("Docker Desktop", f"{version}, {found.state}", "container.*, compose.*, stack.*, model.*", cure)
    if _numbers(found.version)[:2] < _DESKTOP_COMMAND:
        text = f"{version}, running; `docker desktop` came with 4.37, so a stop ends its processes"
        return worth_knowing("Docker Desktop", text, "", "winget upgrade --exact --id Docker.DockerDesktop (at the desktop)")
    locked = f"; an administrator locked {', '.join(found.locked)}" if found.locked else ""
    return good("Docker Desktop", f"{version}, running{locked}")


def untold(name: str, text: str, blocks: str = "") -> Check:
    """Return the check of a part that is refused: it may be there, so nothing is to be installed or started for it."""
    return worth_knowing(name, text, blocks, RIGHTS)


def compose(found: Compose, *, windows: bool, needed: bool = True) -> Check:
    """Check the Compose plugin; `needed` says that Ollama does not run without Docker."""
    if found.version:
        return good("Compose", found.version)
    # a plugin of one user is not seen by another, and Docker Desktop brings one for all
    cure = (
        "install Docker Desktop for all users, or copy docker-compose.exe to C:\\Program Files\\Docker\\cli-plugins"
        if windows
        else "sudo apt-get install docker-compose-plugin (docs.docker.com/compose/install/linux)"
    )
    # a docker without the plugin takes `compose` for nothing and complains about the flags behind it
    absent = any(words in found.problem for words in ("unknown flag", "unknown shorthand flag", "is not a docker command"))
    text = "docker has no Compose plugin" if absent else f"docker compose does not answer: {found.problem}"
    return (lacking if needed else worth_knowing)("Compose", text, COMPOSE_STEPS, cure)


def _quotas(host: WindowsReadiness) -> Iterator[Check]:
    if not host.quotas:
        text = f"cannot be read: {host.quotas_problem.strip() or 'nothing was said'}"
        yield worth_knowing("WinRM quotas", text, "", "log in as an administrator: they are told to nobody else")
        return
    low = [name for name, (least, *_) in _LEAST.items() if host.quotas.get(name, least) < least]
    if not low:
        told = host.quotas.get
        yield good(
            "WinRM quotas",
            f"{told('MaxShellsPerUser', '?')} shells, {told('MaxProcessesPerShell', '?')} processes and {told('MaxMemoryPerShellMB', '?')} MB "
            f"a shell, {told('MaxConcurrentOperationsPerUser', '?')} operations, {told('MaxEnvelopeSizekb', '?')} kB a message",
        )
    for name in low:
        least, usual, node, blocks = _LEAST[name]
        text = f"{name} is {host.quotas[name]}{_UNITS.get(name, '')}, {least}{_UNITS.get(name, '')} are needed"
        yield lacking("WinRM quotas", text, blocks, _set(host, name, usual, node))
    idle = host.quotas.get("IdleTimeout", _IDLE_LEAST)
    if idle < _IDLE_LEAST:
        text = f"a shell that waits for {idle / 1000:g} s is ended; it is opened anew, which takes a few seconds each time"
        yield worth_knowing("WinRM quotas", text, "", _set(host, "IdleTimeout", 7_200_000, "Shell"))


def _set(host: WindowsReadiness, name: str, value: int, node: str) -> str:
    if name in host.by_policy:
        return _POLICY.format("Shell" if node == "Shell" else "Management (WinRM)")
    place = "\\".join(part for part in ("WSMan:", "localhost", node, name) if part)
    return f"in an elevated PowerShell: Set-Item {place} {value}"


def _classes(host: WindowsReadiness) -> Check:
    there = [name.removeprefix(_PREFIX) for name in host.classes]
    missing = [name for name in _SHELL_CLASSES if name not in there]
    if not missing:
        return good("GPU counters", ", ".join(there))
    if is_refusal(host.classes_problem):
        return untold(
            "GPU counters",
            f"this login may not read them: {host.classes_problem.strip()}",
            "vram.free, and that vram_occupied is found",
        )
    problem = f" ({host.classes_problem.strip()})" if host.classes_problem else ""
    text = f"Windows has no {' and no '.join(_PREFIX + name for name in missing)}{problem}"
    cure = "in an elevated prompt: lodctr /R, then winmgmt /resyncperf (Windows 10 1709 or newer, a driver with WDDM 2)"
    return lacking("GPU counters", text, "vram.free, and that vram_occupied is found", cure)


def _wsl(host: WindowsReadiness) -> Check:
    wsl = host.wsl
    hidden = host.problems.get("WslService")
    if not wsl.service and hidden:
        brought = f"{wsl.version}; " if wsl.version else ""
        return untold("WSL", f"{brought}whether its service runs is not known: {hidden}")
    if not wsl.service:
        cure = "in an elevated prompt: wsl --install --no-distribution, then restart Windows"
        return lacking("WSL", "is not installed", "the GPU in containers: docker_desktop.*, stack.up with a GPU", cure)
    version = wsl.version or "as Windows brought it along"
    own = [each.name for each in wsl.distributions if each.own]
    others = [each.name for each in wsl.distributions if not each.own]
    text = f"{version}, {wsl.service} {wsl.state.lower()}"
    if own:
        text += f"; {', '.join(own)}"
    if "Distributions" in host.problems:
        text += f"; the distributions are not known: {host.problems['Distributions']}"
    if others:
        text += f"; {', '.join(dict.fromkeys(others))} of the desktop's user"
    old = [each.name for each in wsl.distributions if each.version == 1]
    if old:
        return worth_knowing("WSL", f"{text}; {', '.join(old)} is of version 1", "the GPU in it", f"wsl --set-version {old[0]} 2")
    return good("WSL", text)


def _engine_access(host: PosixReadiness, *, elevated: bool, needed: bool) -> Iterator[Check]:
    if host.socket == "closed" and not elevated:
        cure = "sudo usermod -aG docker LOGIN and a new login, or ansible_become: true"
        yield (lacking if needed else worth_knowing)(
            "engine's socket", "this login may not write to it", "container.*, compose.*, stack.*", cure
        )
    elif host.socket:
        yield good("engine's socket", "open to this login")


def _toolkit(host: PosixReadiness) -> Check:
    if host.toolkit:
        return good("container toolkit", host.toolkit)
    cure = "sudo apt-get install nvidia-container-toolkit; sudo nvidia-ctk runtime configure --runtime=docker; sudo systemctl restart docker"
    return worth_knowing("container toolkit", "none of NVIDIA's is on PATH", "the GPU in containers: stack.up with a GPU", cure)


def _units(host: PosixReadiness) -> Iterator[Check]:
    for name, state in host.units.items():
        if state == "active":
            yield good(f"{name}.service", state)
        else:
            yield worth_knowing(f"{name}.service", state, "", f"sudo systemctl start {name}; journalctl -u {name} -n 50")


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split(".")
    return tuple(int(part) for part in parts if is_whole(part)) or _DESKTOP_COMMAND
