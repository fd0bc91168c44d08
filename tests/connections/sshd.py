"""A real sshd on loopback with its own keys and configuration; the login is the user who runs the tests."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.parts import missing, need_program

_PRIVILEGE_FOLDER = Path("/run/sshd")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Sshd:
    """What a client needs; `known_hosts` holds the host key, `key` opens the door."""

    port: int
    folder: Path
    user: str
    process: subprocess.Popen[str]

    @property
    def key(self) -> Path:
        return self.folder / "id"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def variables(self, **more: object) -> dict[str, object]:
        return {
            "ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": self.port, "ansible_user": self.user,
            "ansible_ssh_private_key_file": str(self.key), "ansible_ssh_known_hosts_file": str(self.known_hosts),
            "ansible_ssh_config_file": str(self.folder / "ssh_config"), "ansible_ssh_agent": False, **more,
        }  # fmt: skip


def keygen(path: Path, passphrase: str = "") -> None:
    program = need_program("ssh-keygen", "openssh-client")
    subprocess.run([program, "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)], check=True)


@contextmanager
def sshd(folder: Path, *lines: str, sftp: str = "internal-sftp", programs: Path | None = None) -> Iterator[Sshd]:
    """Start sshd with more configuration `lines`; these come first and so win. `programs` comes first on its PATH."""
    if sys.platform == "win32":
        missing("Debian's sshd is no Windows program")
    program = need_program("sshd", "openssh-server")
    if os.geteuid() == 0:
        _PRIVILEGE_FOLDER.mkdir(mode=0o755, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("id", "host"):
        if not (folder / name).exists():
            keygen(folder / name)
    shutil.copy(folder / "id.pub", folder / "authorized_keys")
    (folder / "ssh_config").write_text("", encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    path = f" PATH={programs}:{_PATH}" if programs is not None else ""
    (folder / "sshd_config").write_text(
        "\n".join(
            [
                # bash started by sshd at level 1 reads ~/.bashrc, which is this machine's affair and may be slow
                f"SetEnv SHLVL=2{path}", *lines, f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {folder}/host", f"AuthorizedKeysFile {folder}/authorized_keys",
                "StrictModes no", "UsePAM no", "PidFile none", "PermitRootLogin yes", "PasswordAuthentication no", "MaxStartups 100",
                "MaxSessions 100", f"Subsystem sftp {sftp}", "",
            ]
        ),
        encoding="utf-8",
    )  # fmt: skip
    public = (folder / "host.pub").read_text(encoding="utf-8").split()[:2]
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {' '.join(public)}\n", encoding="utf-8")
    process = subprocess.Popen(
        [program, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stderr is not None
    heard = ""
    for line in process.stderr:
        heard += line
        if "Server listening" in line:
            break
    else:
        process.wait()
        raise AssertionError(f"sshd did not start: {heard}")
    try:
        yield Sshd(port, folder, getpass.getuser(), process)
    finally:
        process.terminate()
        process.stderr.close()
        process.wait()
