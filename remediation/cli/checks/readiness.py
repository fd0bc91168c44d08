"""``check-host``: checks WinRM quotas, GPU counters, Docker Desktop, Compose, WSL and the container toolkit.

Pure functions from readings to checks. Each failed check names the steps it blocks and the commands that fix it.
"""

from __future__ import annotations

from collections.abc import Iterator

from remediation.cli.checks.check import Check, good, missing_check, worth_knowing
from remediation.facets.machine.readiness import Compose, PosixReadiness, WindowsReadiness
from remediation.facets.machine.rights import is_refusal
from remediation.model.facts import DockerDesktop
from remediation.model.text.digits import is_whole

RIGHTS = "give the login administrator rights: see rights"
COMPOSE_STEPS = "compose.*, stack.*, env_file.set, volume.recreated"
_LEAST = {
    "MaxShellsPerUser": (2, 30, "Shell", "everything, as soon as another program of this login uses WinRM there"),
    "MaxProcessesPerShell": (10, 25, "Shell", "compose.*, stack.*: PowerShell, docker and its plugins run at the same time"),
    "MaxMemoryPerShellMB": (512, 1024, "Shell", "large readings: PowerShell ends with OutOfMemoryException"),
    "MaxConcurrentOperationsPerUser": (20, 1500, "Service", "everything, as soon as another program of this login uses WinRM there"),
    "MaxEnvelopeSizekb": (400, 500, "", "compose.*, env_file.set, file.restored: their messages are larger"),
}  # fmt: skip
"""For each quota: the minimum that works, the default of Windows, where it is set, and what a lower value blocks."""
_IDLE_LEAST = 180_000
_UNITS = {"MaxMemoryPerShellMB": " MB", "MaxEnvelopeSizekb": " kB"}
_POLICY = (
    "it is set by a policy: gpedit.msc, Computer Configuration, Administrative Templates, Windows Components, Windows Remote {}"
)
_SHELL_CLASSES = ("GPUProcessMemory", "GPUAdapterMemory")
_PREFIX = "Win32_PerfFormattedData_GPUPerformanceCounters_"
_DESKTOP_COMMAND = (4, 37)


def windows_checks(host: WindowsReadiness, *, remote: bool, docker: bool = True) -> Iterator[Check]:
    """Check a Windows host.

    Args:
      remote: Whether it is reached over WinRM.
      docker: Whether Ollama needs Docker there.
    """
    if remote:
        yield from _quotas(host)
    yield _classes(host)
    yield _wsl(host, needed=docker)
    yield compose(host.compose, windows=True, needed=docker)


def posix_checks(host: PosixReadiness, *, gpu: bool, elevated: bool, docker: bool = True) -> Iterator[Check]:
    """Check a Linux host.

    Args:
      gpu: Whether a GPU was found there.
      docker: Whether Ollama needs Docker there.
    """
    if host.module:
        yield good("kernel module", f"nvidia {host.module}")
    elif gpu:
        yield worth_knowing("kernel module", "cannot read its version")
    else:
        yield missing_check(
            "kernel module", "no NVIDIA module is loaded", "every goal on the GPU", "sudo modprobe -a nvidia nvidia_uvm"
        )
    if "docker" in host.programs:
        yield from _engine_access(host, elevated=elevated, needed=docker)
        if docker:
            yield _toolkit(host)
        yield compose(host.compose, windows=False, needed=docker)
    yield from _units(host)
    if "curl" not in host.programs:
        text = "not installed; it is needed to reach Ollama if sshd forwards no connections"
        yield worth_knowing("curl", text, "model.* behind AllowTcpForwarding no", "sudo apt-get install curl")


RESTART_ENGINE = "restart the engine: sudo systemctl restart docker, or Docker Desktop"
"""What to do about a ``docker`` that does not end."""


def docker_desktop(found: DockerDesktop | None, *, needed: bool) -> Check:
    """Check Docker Desktop; `needed` is whether the model has no other server there."""
    if found is None:
        judge = missing_check if needed else worth_knowing
        cure = "winget install --exact --id Docker.DockerDesktop (at the desktop), then log in there once"
        return judge("Docker Desktop", "not installed", "docker_desktop.*, container.*, compose.*, stack.*", cure)
    version = found.version or "unknown version"
    if "Installed" in found.problems:
        return unreadable("Docker Desktop", f"unknown whether it is installed: {found.problems['Installed']}", "docker_desktop.*")
    if "Processes" in found.problems and not found.engine:
        text = f"{version}; unknown whether it runs: {found.problems['Processes']}"
        return unreadable("Docker Desktop", text, "docker_desktop.*")
    if found.state != "running":
        cure = "remediate play restart-docker-desktop, or start it at the desktop"
        return missing_check("Docker Desktop", f"{version}, {found.state}", "container.*, compose.*, stack.*, model.*", cure)
    if _numbers(found.version)[:2] < _DESKTOP_COMMAND:
        text = f"{version}, running; `docker desktop` requires 4.37, so a stop ends its processes"
        return worth_knowing("Docker Desktop", text, "", "winget upgrade --exact --id Docker.DockerDesktop (at the desktop)")
    locked = f"; an administrator locked {', '.join(found.locked)}" if found.locked else ""
    return good("Docker Desktop", f"{version}, running{locked}")


def unreadable(name: str, text: str, blocks: str = "") -> Check:
    """Return the check of a part whose reading is refused: it may exist, so no installation is suggested."""
    return worth_knowing(name, text, blocks, RIGHTS)


def compose(found: Compose, *, windows: bool, needed: bool = True) -> Check:
    """Check the Compose plugin; `needed` is whether Ollama needs Docker there."""
    if found.version:
        return good("Compose", found.version)
    # a plugin in one user's profile is invisible to other users; Docker Desktop installs one for all
    cure = (
        "install Docker Desktop for all users, or copy docker-compose.exe to C:\\Program Files\\Docker\\cli-plugins"
        if windows
        else "sudo apt-get install docker-compose-plugin (docs.docker.com/compose/install/linux)"
    )
    # docker without the plugin ignores `compose` and rejects the flags after it
    absent = any(words in found.problem for words in ("unknown flag", "unknown shorthand flag", "is not a docker command"))
    text = "docker has no Compose plugin" if absent else f"docker compose fails: {found.problem}"
    return (missing_check if needed else worth_knowing)("Compose", text, COMPOSE_STEPS, RESTART_ENGINE if found.hangs else cure)


def _quotas(host: WindowsReadiness) -> Iterator[Check]:
    if not host.quotas:
        text = f"cannot be read: {host.quotas_problem.strip() or 'no reason given'}"
        yield worth_knowing("WinRM quotas", text, "", "log in as an administrator: only administrators can read them")
        return
    low = [name for name, (least, *_) in _LEAST.items() if host.quotas.get(name, least) < least]
    if not low:
        quota = host.quotas.get
        yield good(
            "WinRM quotas",
            f"{quota('MaxShellsPerUser', '?')} shells, {quota('MaxProcessesPerShell', '?')} processes and {quota('MaxMemoryPerShellMB', '?')} MB "
            f"a shell, {quota('MaxConcurrentOperationsPerUser', '?')} operations, {quota('MaxEnvelopeSizekb', '?')} kB a message",
        )
    for name in low:
        least, usual, node, blocks = _LEAST[name]
        text = f"{name} is {host.quotas[name]}{_UNITS.get(name, '')}, at least {least}{_UNITS.get(name, '')} needed"
        yield missing_check("WinRM quotas", text, blocks, _set(host, name, usual, node))
    idle = host.quotas.get("IdleTimeout", _IDLE_LEAST)
    if idle < _IDLE_LEAST:
        text = f"a shell that is idle for {idle / 1000:g} s is closed; reopening it takes a few seconds each time"
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
        return unreadable(
            "GPU counters",
            f"this login cannot read them: {host.classes_problem.strip()}",
            "vram.free, and the diagnosis of vram_occupied",
        )
    problem = f" ({host.classes_problem.strip()})" if host.classes_problem else ""
    text = f"Windows lacks {' and '.join(_PREFIX + name for name in missing)}{problem}"
    cure = "in an elevated prompt: lodctr /R, then winmgmt /resyncperf (Windows 10 1709 or newer, a driver with WDDM 2)"
    return missing_check("GPU counters", text, "vram.free, and the diagnosis of vram_occupied", cure)


def _wsl(host: WindowsReadiness, *, needed: bool) -> Check:
    wsl = host.wsl
    hidden = host.problems.get("WslService")
    if not wsl.service and hidden:
        brought = f"{wsl.version}; " if wsl.version else ""
        return unreadable("WSL", f"{brought}unknown whether its service runs: {hidden}")
    if not wsl.service:
        cure = "in an elevated prompt: wsl --install --no-distribution, then restart Windows"
        return (missing_check if needed else worth_knowing)(
            "WSL", "not installed", "the GPU in containers: docker_desktop.*, stack.up with a GPU", cure
        )
    version = wsl.version or "as shipped with Windows"
    own = [each.name for each in wsl.distributions if each.own]
    others = [each.name for each in wsl.distributions if not each.own]
    text = f"{version}, {wsl.service} {wsl.state.lower()}"
    if own:
        text += f"; {', '.join(own)}"
    if "Distributions" in host.problems:
        text += f"; the distributions are unknown: {host.problems['Distributions']}"
    if others:
        text += f"; {', '.join(dict.fromkeys(others))} of the desktop user"
    old = [each.name for each in wsl.distributions if each.version == 1]
    if old:
        return worth_knowing("WSL", f"{text}; {', '.join(old)} is of version 1", "the GPU in it", f"wsl --set-version {old[0]} 2")
    return good("WSL", text)


def _engine_access(host: PosixReadiness, *, elevated: bool, needed: bool) -> Iterator[Check]:
    if host.socket == "closed" and not elevated:
        cure = "sudo usermod -aG docker LOGIN and a new login, or ansible_become: true"
        yield (missing_check if needed else worth_knowing)(
            "engine's socket", "this login cannot write to it", "container.*, compose.*, stack.*", cure
        )
    elif host.socket:
        yield good("engine's socket", "open to this login")


def _toolkit(host: PosixReadiness) -> Check:
    if host.toolkit:
        return good("container toolkit", host.toolkit)
    cure = "sudo apt-get install nvidia-container-toolkit; sudo nvidia-ctk runtime configure --runtime=docker; sudo systemctl restart docker"
    return worth_knowing("container toolkit", "NVIDIA's is not on PATH", "the GPU in containers: stack.up with a GPU", cure)


def _units(host: PosixReadiness) -> Iterator[Check]:
    for name, state in host.units.items():
        if state == "active":
            yield good(f"{name}.service", state)
        else:
            yield worth_knowing(f"{name}.service", state, "", f"sudo systemctl start {name}; journalctl -u {name} -n 50")


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split(".")
    return tuple(int(part) for part in parts if is_whole(part)) or _DESKTOP_COMMAND
