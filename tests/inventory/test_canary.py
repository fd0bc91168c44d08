"""No secret is seen anywhere while a run uses it: output, journal, reports, errors, the command lines of all processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.templating.vaults import SECRET, VALUE, WHOLE

ROOT = Path(__file__).parents[2]

CANARIES = (
    "canary-from-the-environment",
    "canary-from-a-file",
    "canary-from-a-program",
    "canary-from-the-line",
    VALUE.holds,
    "p4ss",
)

PLAYBOOK = """
- name: Everything that shows something
  hosts: all
  gather_facts: false
  vars_files: [vault.yml]
  tasks:
    - name: printed
      debug: {msg: "{{ from_env }} {{ from_file }} {{ from_program }} {{ ansible_password }} {{ hidden }} {{ password }}"}
    - name: printed by name
      debug: {var: from_env}
    - name: made into facts
      set_fact: {made: "{{ from_env | upper }}", kept: "{{ hidden }}", all_of_them: "{{ [from_file, password] }}"}
    - name: facts printed
      debug: {msg: "{{ made }} {{ kept }} {{ all_of_them }}"}
    - name: handed to a program by its environment
      command: {argv: [PYTHON, -c, "SCRIPT"]}
      environment: {ONE: "{{ from_env }}", TWO: "{{ hidden }}", THREE: "{{ password }}", FOUR: "{{ from_program }}"}
      register: printed
    - name: what it printed
      debug: {msg: "{{ printed.stdout }} {{ printed }}"}
    - name: handed by its input
      command: {argv: [PYTHON, -c, "import sys; sys.exit(sys.stdin.read() != 'canary-from-a-' + 'file' + chr(10))"], stdin: "{{ from_file }}"}
    - name: put on a command line
      command: "echo {{ hidden }}"
      ignore_errors: true
    - name: put on a command line as a word
      command: {argv: [echo, "{{ from_env }}"]}
      ignore_errors: true
    - name: refused
      fail: {msg: "no {{ password }}"}
      ignore_errors: true
    - name: asserted
      assert: {that: ["password == from_env"], fail_msg: "{{ password }} is not {{ from_env }}"}
      ignore_errors: true
    - name: "a name with {{ hidden }}"
      debug: {msg: "{{ hidden | nosuchfilter }}"}
      ignore_errors: true
    - name: compared wrongly
      debug: {msg: x}
      when: from_env
      ignore_errors: true
    - name: of the wrong type
      wait_for: {timeout: "{{ from_program }}"}
      ignore_errors: true
    - name: looped
      debug: {msg: "{{ item }}"}
      loop: ["{{ from_env }}", "{{ hidden }}"]
"""

# it prints the secrets themselves, and it records the command line of every process
SCRIPT = (
    "import os; os.system('cat /proc/[0-9]*/cmdline > FOLDER/lines 2> /dev/null'); "
    "print(*(os.environ[n] for n in ('ONE', 'TWO', 'THREE', 'FOUR')))"
)

INVENTORY = """
all:
  hosts:
    alpha:
      ansible_connection: local
      ansible_password: canary-from-the-line
      ansible_become_password: "{{ lookup('env', 'CANARY') }}"
      from_env: "{{ ansible_become_password }}"
      from_file: "{{ lookup('password_file', 'FOLDER/secret') }}"
      from_program: "{{ lookup('password_command', ['cat', 'FOLDER/other']) }}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.write_text(text.replace("FOLDER", str(tmp_path)), encoding="utf-8")
        path.chmod(0o600)

    script = SCRIPT.replace("FOLDER", str(tmp_path)).replace('"', '\\"')
    write("site.yml", PLAYBOOK.replace("SCRIPT", script).replace("PYTHON", sys.executable))
    write("inv.yml", INVENTORY)
    write("vault.yml", WHOLE.text)
    (tmp_path / "group_vars").mkdir()
    write("group_vars/all.yml", "hidden: !vault |\n" + textwrap.indent(VALUE.text, "  "))
    write("secret", "canary-from-a-file\n")
    write("other", "canary-from-a-program\n")
    write("pw", SECRET)
    return tmp_path


def remediate(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INVOKE_", "XDG_", "REMEDIATION_"))}
    return subprocess.run(
        [sys.executable, "-m", "remediation.cli.main", *words],
        cwd=folder,
        env={
            **kept, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state"), "CANARY": "canary-from-the-environment",
            "COLUMNS": "4000",
        },
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )  # fmt: skip


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc to look for command lines in")
@pytest.mark.parametrize("form", ["plain", "json", "report.html", "report.json", "report.xml"])
def test_no_secret_is_seen(folder: Path, form: str) -> None:
    words = {"plain": ["-v"], "json": ["--json"]}.get(form, ["--report", form])
    done = remediate(folder, "play", "site.yml", "-i", "inv.yml", "--vault-password-file", "pw", *words)
    shown = remediate(folder, "history").stdout
    run = shown.split()[0]
    again = remediate(folder, "show", run, "-v")
    said = f"{done.stdout}\n{done.stderr}\n{shown}\n{again.stdout}\n{again.stderr}"
    assert done.returncode == 0
    assert "handed to a program" in said
    written = {path: path.read_bytes() for path in (folder / "state").rglob("*") if path.is_file()}
    written |= {path: path.read_bytes() for path in (folder / "lines", folder / form) if path.is_file()}
    assert b"remediation.cli.main" in written[folder / "lines"]
    assert len(written) > 2
    for canary in (*CANARIES, CANARIES[0].upper()):
        assert canary not in said, canary
        seen = [str(path.relative_to(folder)) for path, content in written.items() if canary.encode() in content]
        assert seen == [], canary  # the inventory holds one in plain text; the journal's copy of it does not
