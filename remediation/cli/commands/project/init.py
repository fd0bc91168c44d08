"""``init``: writes a small project that runs at once: ansible.cfg, an inventory, its group variables, a playbook and a .gitignore."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from remediation.cli.options import Init
from remediation.cli.task import command_task
from remediation.model.errors import UsageError

LOCAL, SSH, WINRM = CONNECTIONS = ("local", "ssh", "winrm")
THIS_MACHINE = "localhost"

_HOST = re.compile(r"[A-Za-z0-9_.\-\[\]:]+")

_HOSTS = """\
# The hosts, in Ansible's layout. More of them: dev-[02:64].example: is 63 hosts.
gpu:
  hosts:
{hosts}"""

_VARIABLES: Mapping[str, str] = {
    LOCAL: "ansible_connection: local\n",
    SSH: """\
ansible_connection: ssh
ansible_user: ops
# Host keys must be known: ssh-keyscan HOST, compared with the host's own.
# ansible_ssh_private_key_file: ~/.ssh/id_ed25519
""",
    WINRM: """\
ansible_connection: winrm
ansible_port: 5986
ansible_winrm_transport: ntlm
ansible_user: ops
# Never a password in a file: it is read from the environment of the user who runs this.
ansible_password: "{{ lookup('env', 'OPS_PASSWORD') }}"
# ansible_winrm_ca_trust_path: /etc/ssl/certs/company-ca.pem
""",
}

_MODEL = """\
# The model to serve. Without it, the one that the host's application uses is found.
# model: "mistral:7b-instruct-q4_K_M"
"""

_PLAYBOOK = """\
- name: The model is served from the GPU
  hosts: gpu
  serial: [1, 25%] # one host first, then a quarter of them at a time
  tasks:
    - name: All layers on the GPU
      ladder:
        goal:
          - model.offloaded: { layers: all }
        rungs:
          - name: A client left the model loaded with few layers
            treats: [explicit_num_gpu, other_model_loaded]
            tasks:
              - model.reloaded: {}
          - name: Make room on the card
            treats: [vram_occupied]
            tasks:
              - vram.free: { close: [chrome, msedge, Discord] }
              - model.reloaded: {}
"""

_CONFIG = """\
# Read by remediate and by Ansible in this folder. Both ignore it where every user may write to the folder.
[defaults]
inventory = inventory/hosts.yml
"""

_IGNORED = """\
# Secrets and results do not belong in the repository.
.vault-password
*.pem
*.key
reports/
plan.json
"""


@command_task(
    Init,
    changes=True,
    examples=(
        "remediate init my-fleet                             # this machine as the only host",
        "remediate init my-fleet --connection winrm --host dev-01.example --host dev-02.example",
    ),
)
def init(options: Init) -> int:
    """Write a small project into a folder: ansible.cfg, inventory, group variables, playbook and .gitignore. Overwrites nothing."""
    folder = Path(options.folder)
    files = starter_files(options.connection or (SSH if options.host else LOCAL), options.host)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", next_step="name a new or an empty folder")
    there = [name for name in files if (folder / name).exists()]
    if there:
        raise UsageError(f"{folder} has {', '.join(there)} already", next_step="name another folder, or remove them")
    write_files(folder, files)
    sys.stdout.writelines(f"wrote {folder / name}\n" for name in files)
    where = "" if folder.resolve() == Path.cwd() else f"cd {folder}\n  "
    sys.stdout.write(f"next:\n  {where}remediate doctor\n  remediate lint site\n  remediate play site --check\n")
    return 0


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write all files or none. Raises `UsageError` naming the file that cannot be written."""
    written: list[Path] = []
    made: list[Path] = []
    path = folder
    try:
        for name, text in files.items():
            path = folder / name
            made += [parent for parent in reversed((path.parent, *path.parent.parents)) if not parent.exists()]
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                written.append(path)
                file.write(text)
    except OSError as error:
        for each in written:
            each.unlink(missing_ok=True)
        for each in reversed(made):
            with suppress(OSError):
                each.rmdir()
        raise UsageError(
            f"cannot write {path}: {error.strerror or error}; nothing was left behind",
            next_step="free space there, or name a folder that you may write to",
        ) from None


def starter_files(connection: str, hosts: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the texts of a project by their path. Raises `UsageError` for a connection or host name that an inventory cannot have."""
    if connection not in CONNECTIONS:
        raise UsageError(f"--connection: {connection!r} is no connection", next_step=f"use one of {', '.join(CONNECTIONS)}")
    if connection == LOCAL and hosts:
        raise UsageError("--connection local is this machine and takes no --host", next_step="use --connection ssh or winrm")
    wrong = next((host for host in hosts if not _HOST.fullmatch(host)), None)
    if wrong is not None:
        raise UsageError(
            f"--host: {wrong!r} is not a host name", next_step="use letters, digits, dots and hyphens, such as dev-01.example"
        )
    named = hosts or ((THIS_MACHINE,) if connection == LOCAL else ("dev-01.example",))
    return {
        "ansible.cfg": _CONFIG,
        "inventory/hosts.yml": _HOSTS.format(hosts="".join(f"    {host}:\n" for host in dict.fromkeys(named))),
        "inventory/group_vars/gpu.yml": _VARIABLES[connection] + _MODEL,
        "playbooks/site.yml": _PLAYBOOK,
        ".gitignore": _IGNORED,
    }
