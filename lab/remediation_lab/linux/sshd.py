"""A real sshd on loopback with its own keys and configuration; the login is the user who starts it."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remediation.model.errors import CallFailed, UsageError

_PRIVILEGE_FOLDER = Path("/run/sshd")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PAUSE = 0.02
_SBIN = "/usr/sbin:/usr/local/sbin"


@dataclass(frozen=True, slots=True)
class Sshd:
    """What a client needs; `known_hosts` holds the host key, `key` opens the door."""

    port: int
    folder: Path
    user: str

    @property
    def key(self) -> Path:
        """The user's private key."""
        return self.folder / "id"

    @property
    def known_hosts(self) -> Path:
        """The file with the host's key."""
        return self.folder / "known_hosts"

    def variables(self, **more: object) -> dict[str, Any]:
        """Return the inventory variables of the host."""
        return {
            "ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": self.port, "ansible_user": self.user,
            "ansible_ssh_private_key_file": str(self.key), "ansible_ssh_known_hosts_file": str(self.known_hosts),
            "ansible_ssh_config_file": str(self.folder / "ssh_config"), "ansible_ssh_agent": False, **more,
        }  # fmt: skip


def program(name: str, package: str) -> str:
    """Return the path of a program of OpenSSH; raises UsageError."""
    found = shutil.which(name) or shutil.which(name, path=_SBIN)
    if found is None:
        raise UsageError(
            f"there is no {name} on this machine, and a Linux host of the lab needs it", next_step=f"apt install {package}"
        )
    return found


def keygen(path: Path, passphrase: str = "") -> None:
    """Make a key pair."""
    subprocess.run(
        [program("ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)], check=True
    )


def at(folder: Path, port: int) -> Sshd:
    """Return the sshd of a folder."""
    return Sshd(port, folder, getpass.getuser())


def configure(folder: Path, port: int, *lines: str, sftp: str = "internal-sftp", programs: Path | None = None) -> None:
    """Write keys and configuration; `lines` come first and so win. `programs` comes first on the PATH of its sessions."""
    if sys.platform != "win32" and os.geteuid() == 0:
        _PRIVILEGE_FOLDER.mkdir(mode=0o755, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("id", "host"):
        if not (folder / name).exists():
            keygen(folder / name)
    shutil.copy(folder / "id.pub", folder / "authorized_keys")
    (folder / "ssh_config").write_text("", encoding="utf-8")
    path = f" PATH={programs}:{_PATH}" if programs is not None else ""
    words = [
        # bash started by sshd at level 1 reads ~/.bashrc, which is this machine's affair and may be slow
        f"SetEnv SHLVL=2{path}", *lines, f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {folder}/host", f"AuthorizedKeysFile {folder}/authorized_keys",
        "StrictModes no", "UsePAM no", "PidFile none", "PermitRootLogin yes", "PasswordAuthentication no", "MaxStartups 100",
        "MaxSessions 100", f"Subsystem sftp {sftp}", "",
    ]  # fmt: skip
    (folder / "sshd_config").write_text("\n".join(words), encoding="utf-8")
    public = (folder / "host.pub").read_text(encoding="utf-8").split()[:2]
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {' '.join(public)}\n", encoding="utf-8")


def launch(folder: Path) -> subprocess.Popen[bytes]:
    """Start sshd with the configuration of a folder and wait until it listens; raises CallFailed with its last words."""
    command = [program("sshd", "openssh-server"), "-D", "-e", "-f", str(folder / "sshd_config")]
    log_file = folder / "sshd.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, stderr=log, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    while b"Server listening" not in log_file.read_bytes():
        if process.poll() is not None:
            raise CallFailed(f"sshd did not start: {log_file.read_text(encoding='utf-8', errors='replace').strip()}")
        time.sleep(_PAUSE)
    return process
