"""wsl.exe: lists, ends and enters distributions. Its own text is UTF-16; programs in a distribution print UTF-8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from remediation_lab.programs import Call, Done, failed, printed
from remediation_lab.world import booting
from remediation_lab.world.setup import Distribution

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

_FAILED = 0xFFFFFFFF
_NONE = "Windows Subsystem for Linux has no installed distributions."
_UNKNOWN = "There is no distribution with the supplied name.\r\nError code: Wsl/Service/WSL_E_DISTRO_NOT_FOUND"
_UNIT = "/etc/systemd/system/ollama.service"
_TICKS = 100


def wsl(machine: Machine, call: Call) -> Done:
    """List, end or enter the distributions of the desktop's user; another login does not see them (facts/windows 2)."""
    words = list(call.argv[1:])
    if machine.state.login.user != machine.state.login.desktop_user and call.session == 0:
        return _own(_NONE, rc=_FAILED)
    if words == ["--shutdown"]:
        machine.state.wrote("wsl --shutdown")
        machine.desktop.lost()
        machine.guests.shut_down()
        return printed("")
    if words[:1] in (["-t"], ["--terminate"]):
        return _terminated(machine, words[1] if len(words) > 1 else "")
    if words in (["--version"], ["-v"]):
        kernel = "5.15.167.4-1"
        return _own(
            f"WSL version: {machine.state.setup.wsl_version}\r\nKernel version: {kernel}\r\nWindows version: 10.0.22631.4460"
        )
    if words == ["--status"]:
        first = next((name for name, *_ in _rows(machine)), "")
        return _own(f"Default Distribution: {first}\r\nDefault Version: 2")
    if words[:1] in (["-d"], ["--distribution"]):
        return _entered(machine, words[1:])
    return _listed(machine, words)


def _own(text: str, *, rc: int = 0) -> Done:
    return Done(rc, f"{text}\r\n".encode("utf-16-le"))


def _rows(machine: Machine) -> list[tuple[str, bool, int]]:
    up = any(each.name == booting.VM for each in machine.state.programs)
    docker = [("docker-desktop", up, 2)] if machine.state.engine.desktop is not None else []
    return [*docker, *((each.name, bool(each.started), each.version) for each in machine.state.guests)]


def _listed(machine: Machine, words: Sequence[str]) -> Done:
    running = "--running" in words
    rows = [each for each in _rows(machine) if each[1] or not running]
    if not rows:
        return _own("There are no running distributions." if running else _NONE, rc=_FAILED)
    if "--quiet" in words or "-q" in words:
        return _own("\r\n".join(name for name, *_ in rows))
    wide = max(len("NAME"), *(len(name) for name, *_ in rows)) + 4
    lines = [f"  {'NAME':{wide}}STATE           VERSION"]
    for number, (name, up, version) in enumerate(rows):
        lines.append(f"{'*' if number == 0 else ' '} {name:{wide}}{'Running' if up else 'Stopped':16}{version}")
    return _own("\r\n".join(lines))


def _terminated(machine: Machine, name: str) -> Done:
    guest = machine.guests.named(name)
    machine.state.wrote(f"wsl --terminate {name}")
    if guest is not None:
        machine.guests.stop(guest)
    elif name == "docker-desktop" and machine.state.engine.desktop is not None:
        machine.desktop.lost()
    else:
        return _own(_UNKNOWN, rc=_FAILED)
    return printed("")


def _entered(machine: Machine, words: list[str]) -> Done:
    """Run a program in a distribution, which starts with it: NAME [--user USER] (--exec | --) PROGRAM ARGUMENT ..."""
    guest = machine.guests.named(words[0] if words else "")
    mark = next((number for number, each in enumerate(words) if each in {"--exec", "-e", "--"}), len(words) - 1)
    program = words[mark + 1 :]
    if guest is None:
        return _own(_UNKNOWN, rc=_FAILED)
    machine.guests.start(guest)
    known = {
        "true": _true, "cat": _cat, "systemctl": _systemctl, "journalctl": _journalctl, "pgrep": _pgrep, "ldconfig": _ldconfig,
    }  # fmt: skip
    if not program or program[0] not in known:
        return failed(f"{' '.join(program)}: command not found", rc=127)
    return known[program[0]](machine, guest, program[1:])


def _true(_: Machine, __: Distribution, ___: Sequence[str]) -> Done:
    return printed("")


def _cat(machine: Machine, guest: Distribution, words: Sequence[str]) -> Done:
    booted = machine.state.guest_booted
    known = {
        "/proc/meminfo": f"MemTotal:       {_memory(machine) // 1024} kB\n",
        "/proc/uptime": f"{machine.clock.now() - booted:.2f} 0.00\n",
        "/proc/1/stat": f"1 (systemd) S {' '.join(['0'] * 18)} {round((guest.started - booted) * _TICKS)} 0\n",
    }
    missing = [each for each in words if each not in known]
    text = "".join(known.get(each, "") for each in words)
    return failed(f"cat: {missing[0]}: No such file or directory", stdout=text) if missing else printed(text)


def _memory(machine: Machine) -> int:
    """Return the memory that the kernel of WSL's machine counts: it keeps a part to itself."""
    return int(machine.state.guest_memory * 0.97)


def _systemctl(machine: Machine, guest: Distribution, words: Sequence[str]) -> Done:
    if not guest.systemd:
        return failed(
            "System has not been booted with systemd as init system (PID 1). Can't operate.\nFailed to connect to bus: Host is down"
        )
    verb = words[0] if words else ""
    if "ollama" not in {each.removesuffix(".service") for each in words[1:]}:
        return failed(f"Unit {' '.join(words[1:])} could not be found.", rc=4)
    if verb == "show":
        state = "active" if guest.pid else "inactive"
        return printed(f"LoadState=loaded\nActiveState={state}\nMainPID={guest.pid}\nFragmentPath={_UNIT}\nNeedDaemonReload=no\n")
    if verb == "cat":
        lines = "".join(f'Environment="{name}={value}"\n' for name, value in guest.environment.items())
        return printed(f"# {_UNIT}\n[Service]\nExecStart=/usr/local/bin/ollama serve\nUser=ollama\n{lines}")
    if verb not in {"start", "stop", "restart"}:
        return failed(f"Unknown command verb {verb}.")
    machine.state.wrote(f"systemctl {verb} ollama in {guest.name}")
    if verb != "start":
        machine.guests.unserve(guest)
    if verb != "stop":
        machine.guests.serve(guest)
    return printed("")


def _journalctl(_: Machine, guest: Distribution, words: Sequence[str]) -> Done:
    most = int(words[words.index("--lines") + 1]) if "--lines" in words else len(guest.journal)
    return printed("".join(f"{line}\n" for line in guest.journal[-most:]) if guest.systemd else "-- No entries --\n")


def _pgrep(_: Machine, guest: Distribution, __: Sequence[str]) -> Done:
    return printed(f"{guest.pid}\n") if guest.pid else Done(1)


def _ldconfig(_: Machine, guest: Distribution, __: Sequence[str]) -> Done:
    paths = (["/usr/lib/x86_64-linux-gnu/libcuda.so.1"] if guest.driver else []) + ["/usr/lib/wsl/lib/libcuda.so.1"]
    return printed(
        f"{len(paths)} libs found in cache `/etc/ld.so.cache'\n"
        + "".join(f"\tlibcuda.so.1 (libc6,x86-64) => {each}\n" for each in paths)
    )
