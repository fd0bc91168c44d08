"""Installs ``watch`` as a service: a systemd unit with its timer, or a scheduled task of Windows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from remediation.model.errors import UsageError

UNITS_OF_ROOT = Path("/etc/systemd/system")
MINUTE = 60
LONGEST = 60.0
"""Seconds after which a program that installs a service is given up."""


@dataclass(frozen=True, slots=True)
class WatchService:
    """A service that runs ``watch``: its name, the words after ``remediate``, its interval in seconds, and whether it stays running."""

    name: str
    words: Sequence[str]
    every: float
    stays: bool = False

    @property
    def command(self) -> list[str]:
        """The command line of the service."""
        return [sys.executable, "-m", "remediation.cli.main", *self.words]


def install_service(service: WatchService, folder: Path | None = None) -> list[str]:
    """Install and start the service; return what was done, line by line. `folder` is that of systemd's units. Raises `UsageError`."""
    return _install_task(service) if sys.platform == "win32" else _install_units(service, folder or _units_folder())


def uninstall_service(name: str, folder: Path | None = None) -> list[str]:
    """Stop and remove the service; return what was done. Raises `UsageError` if it is not installed."""
    return _uninstall_task(name) if sys.platform == "win32" else _uninstall_units(name, folder or _units_folder())


def _units_folder() -> Path:
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return UNITS_OF_ROOT
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd/user"


def units(service: WatchService, folder: Path) -> dict[str, str]:
    """Return the unit files by name. `folder` is the working folder: inventories are found there."""
    unit = f"""\
[Unit]
Description=remediate watch ({service.name})
After=network-online.target
Wants=network-online.target

[Service]
Type={"simple" if service.stays else "oneshot"}
WorkingDirectory={_escape(str(folder))}
EnvironmentFile=-{_escape(str(folder / ".watch.env"))}
ExecStart={" ".join(map(_quote, service.command))}
"""
    if service.stays:
        return {f"{service.name}.service": f"{unit}Restart=always\nRestartSec=30\n\n[Install]\nWantedBy=default.target\n"}
    # exit codes 2 and 3 say that a host needs a person; the service itself did its work
    unit += "SuccessExitStatus=2 3\n"
    timer = f"""\
[Unit]
Description=remediate watch ({service.name}), every {service.every:g} s

[Timer]
OnBootSec=2min
OnUnitInactiveSec={service.every:g}s
RandomizedDelaySec=5s

[Install]
WantedBy=timers.target
"""
    return {f"{service.name}.service": unit, f"{service.name}.timer": timer}


def _escape(text: str) -> str:
    return text.replace("%", "%%")


def _quote(word: str) -> str:
    r"""Return a word as systemd reads it back: in quotes, with ``%``, ``$``, ``\`` and ``"`` escaped."""
    plain = _escape(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return plain if plain and all(letter.isalnum() or letter in "/-_.=:,@+" for letter in plain) else f'"{plain}"'


def _install_units(service: WatchService, folder: Path) -> list[str]:
    _need("systemctl")
    files = units(service, Path.cwd())
    new = [folder / name for name in files if not (folder / name).exists()]
    started = list(files)[-1]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        _systemctl(folder, "daemon-reload")
        _systemctl(folder, "enable", "--now", started)
    except OSError as error:
        raise UsageError(
            f"the units cannot be written into {folder}: {error.strerror or error}",
            next_step="make the folder writable for this user, or install as root",
        ) from None
    except UsageError:
        for path in new:
            path.unlink(missing_ok=True)
        raise
    return [
        *(f"wrote {folder / name}" for name in files),
        f"started {started}: systemctl {'' if folder == UNITS_OF_ROOT else '--user '}status {started}",
    ]


def _uninstall_units(name: str, folder: Path) -> list[str]:
    there = [path for path in (folder / f"{name}.timer", folder / f"{name}.service") if path.exists()]
    if not there:
        raise UsageError(f"no service {name} in {folder}", next_step="give the --name it was installed with")
    _need("systemctl")
    for path in there:
        _systemctl(folder, "disable", "--now", path.name)
        path.unlink()
    _systemctl(folder, "daemon-reload")
    return [f"removed {path}" for path in there]


def _systemctl(folder: Path, *words: str) -> None:
    _run(["systemctl", *([] if folder == UNITS_OF_ROOT else ["--user"]), *words])


def task_xml(service: WatchService, folder: Path) -> str:
    """Return the definition of a scheduled task: at an interval, one at a time, also without a logged-in user's screen."""
    program, *words = service.command
    repeat = "" if service.stays else f"<Repetition><Interval>PT{max(1, round(service.every / MINUTE))}M</Interval></Repetition>"
    begin = (
        "<BootTrigger>{0}<Enabled>true</Enabled></BootTrigger>"
        if service.stays
        else "<TimeTrigger>{0}<StartBoundary>2020-01-01T00:00:00</StartBoundary><Enabled>true</Enabled></TimeTrigger>"
    )
    return f"""\
<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Description>remediate watch ({escape(service.name)})</Description></RegistrationInfo>
  <Triggers>{begin.format(repeat)}</Triggers>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <StartWhenAvailable>true</StartWhenAvailable>
    <ExecutionTimeLimit>{"PT0S" if service.stays else "PT2H"}</ExecutionTimeLimit>
    <Enabled>true</Enabled>
  </Settings>
  <Actions>
    <Exec>
      <Command>{escape(program)}</Command>
      <Arguments>{escape(subprocess.list2cmdline(words))}</Arguments>
      <WorkingDirectory>{escape(str(folder))}</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
"""


def _install_task(service: WatchService) -> list[str]:
    import tempfile

    _need("schtasks")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "task.xml"
        file.write_text(task_xml(service, Path.cwd()), encoding="utf-16")
        _run(["schtasks", "/Create", "/TN", service.name, "/XML", str(file), "/F"])
    return [f"created the scheduled task {service.name}: schtasks /Query /TN {service.name} /V"]


def _uninstall_task(name: str) -> list[str]:
    _need("schtasks")
    _run(["schtasks", "/Delete", "/TN", name, "/F"])
    return [f"deleted the scheduled task {name}"]


def _need(program: str) -> None:
    if shutil.which(program) is None:
        raise UsageError(
            f"{program} is not on PATH, so no service can be installed",
            next_step="run remediate watch from another scheduler, with --once",
        )


def _run(words: Sequence[str], environment: Mapping[str, str] = os.environ) -> None:
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, encoding="utf-8", check=False, timeout=LONGEST, env=dict(environment)
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"{' '.join(words)} did not end within {LONGEST:g} s", next_step="run it yourself to see what it waits for"
        ) from None
    if done.returncode:
        output = (done.stderr or done.stdout).strip().split("\n")[0]
        raise UsageError(
            f"{' '.join(words)} failed: {output or f'exit code {done.returncode}'}",
            next_step="run it yourself; see docs/watching.md",
        )
