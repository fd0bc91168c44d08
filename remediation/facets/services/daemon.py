"""The Docker daemon of a Linux host, NVIDIA's container toolkit and kernel modules (dockerd, nvidia-ctk, modprobe)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from remediation.connections.calls import Completed, Failed, ReadFile, Run
from remediation.facets.checked import checked
from remediation.facets.scripts import shell
from remediation.facets.snapshot import Snapshot, last_error_line
from remediation.model.errors import Blocked, CallFailed, NotApplicable
from remediation.model.facts import DaemonFacts, KernelModule, LinuxGpuSoftware, ToolkitFacts
from remediation.model.text.digits import is_whole

SOFTWARE_RUN = Run(("sh", "-c", shell("daemon")), timeout=20.0)
_SOCKETS = ("fd://", "unix:///var/run/docker.sock", "unix:///run/docker.sock")
_DEFAULT = "/etc/docker/daemon.json"
_SNAP = "/var/snap/docker/current/config/daemon.json"
_VALIDATE = 'file=$(mktemp) && cat > "$file" && "$0" --validate --config-file "$file" "$@"; code=$?; rm -f "$file"; exit $code'
_TOO_OLD = re.compile(r"unknown flag: --validate|flag provided but not defined")
_RELOAD_MODULE = """\
unit=$1; module=$2
[ -z "$unit" ] || systemctl stop "$unit" || exit 3
rmmod "$module" && modprobe "$module"; code=$?
[ -z "$unit" ] || systemctl start "$unit" || exit 4
exit $code
"""


@checked("daemon")
class LinuxDaemon:
    """Reads the daemon and its surroundings. `engine` is the address of the target's engine, "" for the default one."""

    def __init__(self, snapshot: Snapshot, engine: str = "") -> None:
        self._snapshot, self._engine = snapshot, engine

    def software(self) -> LinuxGpuSoftware:
        """Return the daemon, the toolkit and the driver's modules. Raises `NotApplicable` on Windows."""
        if self._snapshot.platform != "posix":
            raise NotApplicable("does not apply, because Windows itself runs no Docker daemon", host=self._snapshot.host)
        return self._snapshot.memoize("software", self._software)

    def _software(self) -> LinuxGpuSoftware:
        found = gpu_software(self._snapshot.run(SOFTWARE_RUN, "reading the Docker daemon").text, self._engine)
        if found.daemon is None:
            return found
        content = self._snapshot.content(ReadFile(found.daemon.config))
        text = None if content is None else content.decode("utf-8", errors="replace")
        return replace(found, daemon=replace(found.daemon, text=text))

    def rejects(self, daemon: DaemonFacts, text: str) -> str:
        """Return why the daemon would not start with this ``daemon.json`` and its own flags, or "".

        Asks ``dockerd --validate``, which releases before 23.0 do not have. Its answer is "" then.
        """
        flags = without_config(daemon.flags)
        call = Run(("sh", "-c", _VALIDATE, daemon.program or "dockerd", *flags), stdin=text.encode(), timeout=30.0)
        reply = self._snapshot.fetch(call)[0]
        if not isinstance(reply, Completed) or reply.rc == 0:
            return ""
        message = last_error_line(reply)
        return "" if _TOO_OLD.search(message) else message


@checked("daemon")
class LinuxDaemonWriter(LinuxDaemon):
    """Adds reloading and restarting the daemon, and reloading a kernel module."""

    def reload(self, daemon: DaemonFacts) -> None:
        """Let the daemon read its file again (SIGHUP). No container stops; a bad file leaves the old settings in place."""
        self._snapshot.run(Run(("kill", "-HUP", str(daemon.pid)), writes=True), "reloading the Docker daemon")

    def restart(self, daemon: DaemonFacts) -> None:
        """Restart the daemon. Raises `Blocked` if nothing is known that starts it again."""
        what = "restarting the Docker daemon"
        if daemon.snap:
            words: tuple[str, ...] = ("snap", "restart", "docker")
        elif daemon.unit:
            words = ("systemctl", *(("--user",) if daemon.rootless else ()), "restart", daemon.unit.removesuffix(".service"))
        else:
            raise Blocked(
                f"{what} is not possible: no systemd unit started it (process {daemon.pid})", host=self._snapshot.host,
                next_step="restart dockerd the way it was started",
            )  # fmt: skip
        self._snapshot.run(
            Run(words, timeout=120.0, writes=True), what, next_step="systemctl status docker; journalctl -u docker -n 50"
        )

    def reload_module(self, module: str, unit: str) -> None:
        """Stop `unit` (if any), unload and load a kernel module, and start the unit again, also if that failed."""
        call = Run(("sh", "-c", _RELOAD_MODULE, "reload", unit, module), timeout=120.0, writes=True)
        reply = self._snapshot.write(call)
        if isinstance(reply, Failed) or (isinstance(reply, Completed) and reply.rc != 0):
            done = self._snapshot.completed(
                reply, f"reloading the kernel module {module}", next_step=f"fuser -v /dev/{module.replace('_', '-')}"
            )
            raise CallFailed(last_error_line(done), host=self._snapshot.host)


def without_config(flags: Sequence[str]) -> tuple[str, ...]:
    """Return the flags of a daemon without the path of its file."""
    kept, skip = [], False
    for word in flags:
        if skip:
            skip = False
        elif word in {"--config-file", "-config-file"}:
            skip = True
        elif not word.startswith("--config-file="):
            kept.append(word)
    return tuple(kept)


def gpu_software(text: str, engine: str) -> LinuxGpuSoftware:
    """Parse the output of ``daemon.sh``. `engine` selects the daemon that listens there."""
    lines = [line.partition(" ")[::2] for line in text.splitlines()]
    daemons: dict[str, dict[str, str]] = {}
    words: dict[str, list[str]] = {}
    main = next((rest for kind, rest in lines if kind == "main"), "")
    for kind, rest in lines:
        pid, _, value = rest.partition(" ")
        if kind == "daemon":
            daemons[pid], words[pid] = {"facts": value}, []
        elif pid in daemons and kind == "word":
            words[pid].append(value)
        elif pid in daemons and kind in {"unit", "home"}:
            daemons[pid][kind] = value
    found = [(pid, one) for pid, one in daemons.items() if _listens(words[pid], engine)]
    daemon = _daemon(found[0][0], found[0][1], words[found[0][0]], main) if found else None
    tools = tuple(rest for kind, rest in lines if kind == "tool")
    toml = [rest for kind, rest in lines if kind == "toml"]
    return LinuxGpuSoftware(
        daemon, ToolkitFacts(tools, "\n".join([*toml, ""]) if toml else None, next((rest for kind, rest in lines if kind == "release"), "")),
        {one.name: one for kind, rest in lines if kind == "module" for one in [_module(rest)]},
    )  # fmt: skip


def flag_values(words: Sequence[str], *names: str) -> list[str]:
    """Return the values of a flag, given as ``--name VALUE`` or ``--name=VALUE``."""
    found = [word.partition("=")[2] for word in words if word.startswith(tuple(f"{name}=" for name in names))]
    return found + [after for word, after in pairwise(words) if word in names]


def _listens(words: Sequence[str], engine: str) -> bool:
    hosts = flag_values(words, "--host", "-H")
    if engine and engine not in _SOCKETS:
        return engine in hosts
    return not hosts or any(host in _SOCKETS for host in hosts)


def _daemon(pid: str, one: Mapping[str, str], words: Sequence[str], main: str) -> DaemonFacts:
    uid, _, program = one["facts"].partition(" ")
    given = flag_values(words, "--config-file")
    snap, rootless = program.startswith("/snap/"), uid not in {"", "0"}
    default = _SNAP if snap else posixpath.join(one.get("home", ""), ".config/docker/daemon.json") if rootless else _DEFAULT
    unit = one.get("unit", "") or ("docker.service" if main == pid else "")
    return DaemonFacts(
        int(pid) if is_whole(pid) else 0, program.removesuffix(" (deleted)"), (given or [default])[0], None, tuple(words), unit,
        rootless=rootless, snap=snap,
    )  # fmt: skip


def _module(rest: str) -> KernelModule:
    name, users, by = [*rest.split(" ", 2), "", ""][:3]
    return KernelModule(name, int(users) if is_whole(users) else 0, tuple(each for each in by.strip().split(",") if each))
