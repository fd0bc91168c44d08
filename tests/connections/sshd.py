"""A real sshd on loopback with its own keys and configuration; the login is the user who runs the tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from remediation_lab.free_ports import free_port
from remediation_lab.linux import sshd as lab
from tests.support.requirements import missing, need_program


@dataclass(frozen=True, slots=True)
class Sshd(lab.Sshd):
    """What a client needs, and the process."""

    process: subprocess.Popen[bytes]


def keygen(path: Path, passphrase: str = "") -> None:
    need_program("ssh-keygen", "openssh-client")
    lab.keygen(path, passphrase)


@contextmanager
def sshd(folder: Path, *lines: str, sftp: str = "internal-sftp", programs: Path | None = None) -> Iterator[Sshd]:
    """Start sshd with more configuration `lines`; these come first and so win. `programs` comes first on its PATH."""
    if sys.platform == "win32":
        missing("Debian's sshd is no Windows program")
    for program, package in (("sshd", "openssh-server"), ("ssh-keygen", "openssh-client")):
        need_program(program, package)
    port = free_port()
    lab.configure(folder, port, *lines, sftp=sftp, programs=programs)
    process = lab.launch(folder)
    try:
        yield Sshd(port, folder, lab.at(folder, port).user, process)
    finally:
        process.terminate()
        process.wait()
