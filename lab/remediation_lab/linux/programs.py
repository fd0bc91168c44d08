"""The programs of a simulated Linux host, as texts: `systemctl`, `journalctl`, `ollama`, `nvidia-smi`, `sudo`, and one that holds VRAM.

`systemctl` really stops and starts the stand-in, whose process is named ``ollama``; `journalctl` prints what it wrote, and `nvidia-smi`
shows the card that it plays on. Each call of `systemctl` is written down. They are found first on the host's PATH.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import remediation
import remediation_lab

NOT_FOUND = "Failed to restart ollama.service: Unit ollama.service not found."
REFUSED = (
    "Failed to restart ollama.service: Interactive authentication required.\n"
    "See system logs and 'systemctl status ollama.service' for details."
)
"""The message of systemd for a login that polkit would ask for a password."""
PACKAGES = tuple(dict.fromkeys(str(Path(str(each.__file__)).resolve().parents[1]) for each in (remediation, remediation_lab)))

_SYSTEMCTL = """#!{python} -I
import json, os, re, select, signal, subprocess, sys
from pathlib import Path

home, words = Path({home!r}), [word for word in sys.argv[1:] if word not in ("--no-pager", "--plain", "--no-legend", "--all")]
unit, loaded, pid = home / "systemd/ollama.service", home / "loaded.json", home / "pid"
with (home / "calls").open("a") as calls:
    calls.write(" ".join(words) + "\\n")


def texts():
    return {{str(path): path.read_text() for path in [unit, *sorted(home.glob("systemd/ollama.service.d/*.conf"))] if path.exists()}}


def environment(texts):
    given, unset, files = {{}}, set(), []
    for text in texts.values():
        for line in text.splitlines():
            key, _, value = line.partition("=")
            if key == "Environment":
                given.update(dict(word.split("=", 1) for word in re.findall(r'"([^"]*)"', value)))
            elif key == "UnsetEnvironment":
                unset.update(value.split())
            elif key == "EnvironmentFile":
                files.append(value)
    for path in files:
        given.update(dict(line.split("=", 1) for line in Path(path).read_text().splitlines() if "=" in line))
    return {{name: value.strip('"') for name, value in given.items() if name not in unset}}, files


def reload():
    loaded.write_text(json.dumps(texts()))


if words[0] in ("list-units", "list-unit-files"):
    print("ollama.service loaded active running Ollama Service")
    sys.exit(0)
if words[0] == "cat":
    for path, text in texts().items():
        print(f"# {{path}}\\n{{text}}")
    sys.exit(0)
if words[:2] == ["show", "ollama.service"]:
    files = environment(texts())[1]
    running = Path(f"/proc/{{pid.read_text()}}/status")
    alive = running.exists() and "State:\tZ" not in running.read_text()  # this machine's init may be slow to reap
    state = ("active", pid.read_text()) if alive else ("inactive", "0")
    print("LoadState=loaded\\nActiveState=" + state[0], f"MainPID={{state[1]}}", f"FragmentPath={{unit}}", sep="\\n")
    print(*(f"EnvironmentFiles={{path}} (ignore_errors=no)" for path in files), sep="\\n")
    print("NeedDaemonReload=" + ("no" if json.loads(loaded.read_text()) == texts() else "yes"))
    sys.exit(0)
if words == ["daemon-reload"]:
    reload()
    sys.exit(0)
assert words in (["restart", "ollama"], ["start", "ollama"]), words
fault = (home / "fault").read_text() if (home / "fault").exists() else ""
if fault and not (fault == {refused!r} and "SUDO_UID" in os.environ):
    sys.exit(fault)
if pid.exists():
    running = os.pidfd_open(int(pid.read_text()))
    signal.pidfd_send_signal(running, signal.SIGTERM)
    signal.pidfd_send_signal(running, signal.SIGCONT)  # as systemd does (systemd.kill)
    select.select([running], [], [])
else:
    reload()
with (home / "journal").open("a") as journal:
    server = subprocess.Popen(
        [home / "bin/ollama", "serve"], cwd="/", stdin=subprocess.DEVNULL, stdout=journal, stderr=journal, start_new_session=True,
        env={{"PATH": os.environ["PATH"], "HOME": str(home), **environment(json.loads(loaded.read_text()))[0]}},
    )
pid.write_text(str(server.pid))
"""
_OLLAMA = """#!{python}
import runpy, subprocess, sys
open("/proc/self/comm", "w").write("ollama")  # as ps and /proc tell the real program's name
# the real server's models live in separate runner processes, which end with it
runner = subprocess.Popen(["/usr/bin/ollama runner", "-c", "printf ollama > /proc/self/comm; read line"], executable="/bin/sh", stdin=subprocess.PIPE)
sys.path[:0] = {packages!r}
sys.argv[1:] = ["serve", "--memory", {card!r}, "--speed", "{speed}", *{more!r}]
runpy.run_module("remediation_lab.ollama", run_name="__main__")
"""
_JOURNALCTL = """#!/bin/sh
for tail; do :; done # the last word is the number of lines
exec tail -n "$tail" {home}/journal
"""
# secure_path is this machine's: behind the real sudo, what this host has in front of it comes first again
_SUDO = """#!{python} -I
import os, sys
cut = sys.argv.index("--") + 1
os.execv({sudo!r}, ["sudo", *sys.argv[1:cut], "env", "PATH=" + os.environ["PATH"], *sys.argv[cut:]])
"""
_NVIDIA_SMI = """#!{python}
import sys
sys.path[:0] = {packages!r}
from pathlib import Path
from remediation_lab.ollama import snapshot

MIB = 1024 ** 2
card = snapshot.read(Path({card!r}))
used = sum(card.held.values())
known = {{
    "index": "0", "uuid": card.device.uuid, "name": card.device.name, "driver_version": card.driver, "memory.total": str(card.total // MIB),
    "memory.used": str(used // MIB), "memory.free": str((card.total - used) // MIB), "utilization.gpu": str(card.busy), "compute_cap": "8.6",
}}
asked = next(word for word in sys.argv[1:] if word.startswith("--query-"))
kind, _, names = asked.partition("=")
assert "--format=csv,noheader,nounits" in sys.argv
if kind == "--query-compute-apps":
    for owner, size in card.held.items():
        pid, slash, name = owner.partition("/")
        if slash and pid.isdecimal():
            print(f"{{card.device.uuid}}, {{pid}}, {{size // MIB}}, {{name}}")
    sys.exit(0)
for name in names.split(","):
    if name not in known:
        print(f'Field "{{name}}" is not a valid field to query.\\n')
        sys.exit(2)
print(", ".join(known[name] for name in names.split(",")))
"""
_HOLDER = """#!{python}
# Holds video memory until it is ended: holder NAME BYTES
import os, signal, sys
sys.path[:0] = {packages!r}
from pathlib import Path
from remediation_lab.ollama.snapshot import SnapshotMemory

name, size = sys.argv[1], int(sys.argv[2])
open("/proc/self/comm", "w").write(name)
ends = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
signal.pthread_sigmask(signal.SIG_BLOCK, ends)
card, owner = SnapshotMemory(Path({card!r})), f"{{os.getpid()}}/{{name}}"
card.hold(owner, size)
print(flush=True)
signal.sigwait(ends)
card.hold(owner, 0)
"""


def install(
    home: Path, *, card: Path, speed: float, models: Sequence[str] = (), version: str = "", libraries: bool = True
) -> None:
    """Write the programs of a host into ``bin`` below `home`. Without `libraries` its Ollama finds no GPU."""
    programs = home / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    more = [word for name in models for word in ("--model", name)] + (["--version", version] if version else [])
    texts = {"systemctl": _SYSTEMCTL, "ollama": _OLLAMA, "journalctl": _JOURNALCTL, "sudo": _SUDO, "holder": _HOLDER}
    for name, text in texts.items():
        plays = card if libraries or name != "ollama" else home / "no-libraries"
        _write(programs / name, text, home=str(home), card=str(plays), speed=speed, more=more, refused=REFUSED, sudo=_real_sudo())
    install_nvidia_smi(programs, card)


def install_nvidia_smi(folder: Path, card: Path) -> Path:
    """Write ``nvidia-smi`` alone into a folder; it knows no field of a driver newer than 2020."""
    folder.mkdir(parents=True, exist_ok=True)
    return _write(folder / "nvidia-smi", _NVIDIA_SMI, card=str(card))


def _real_sudo() -> str:
    return shutil.which("sudo") or "/usr/bin/sudo"


def _write(path: Path, text: str, **words: object) -> Path:
    path.write_text(text.format(python=sys.executable, packages=list(PACKAGES), **words), encoding="utf-8")
    path.chmod(0o755)
    return path
