"""Records what a real ansible-core does with the cases in ``tests/playbook/cases``, as their ``recorded.json``.

    python -m tests.playbook.recording --ansible PATH/ansible-playbook [CASE ...]

Without names, all cases are recorded. A case is a folder with ``playbook.yml``, optionally ``inventory.yml`` and ``cli`` (words of
the command line), and other files. It runs in a copy; ``<tmp>`` replaces the folder of ``-e tmp=``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent
INVENTORY = "all:\n  vars: {ansible_connection: local}\n  hosts: {alpha: , beta: }\n"
LIMIT = 400


def recorded(case: Path, program: str) -> dict[str, Any]:
    """Return what ansible-core does with a case: each host's results, the recap, and the exit code."""
    with tempfile.TemporaryDirectory(prefix="case-") as folder:
        scratch = Path(folder)
        work, record = scratch / "work", scratch / "record"
        shutil.copytree(case, work)
        if not (work / "inventory.yml").exists():
            (work / "inventory.yml").write_text(INVENTORY, encoding="utf-8")
        (scratch / "tmp").mkdir()
        record.touch()
        python = Path(program).parent / "python"
        words = (case / "cli").read_text(encoding="utf-8").split() if (case / "cli").exists() else []
        arguments = ["playbook.yml", *([] if "-i" in words else ["-i", "inventory.yml"]), "-e", f"tmp={scratch / 'tmp'}"]
        arguments += ["-e", f"ansible_python_interpreter={python}", *words]
        own = {
            "RECORD": str(record),
            "ANSIBLE_CALLBACK_PLUGINS": str(TESTS / "ansible"),
            "ANSIBLE_STDOUT_CALLBACK": "record",
            "ANSIBLE_HOME": str(scratch / "ansible"),
            "PARITY_COLOUR": "blue",
        }
        done = subprocess.run(
            [program, *arguments], cwd=work, env={**os.environ, **own}, capture_output=True, text=True, timeout=LIMIT, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        text = record.read_text(encoding="utf-8").replace(str(scratch / "tmp"), "<tmp>").replace(str(work), "<work>")
    hosts: dict[str, list[Any]] = {}
    recap: dict[str, Any] = {}
    for line in map(json.loads, text.splitlines()):
        if "recap" in line:
            recap = line["recap"]
        else:
            hosts.setdefault(line.pop("host"), []).append(line)
    said = "" if hosts else done.stderr.strip().replace(str(work), "<work>")[-400:]
    return {"hosts": hosts, "recap": recap, "exit_code": done.returncode, **({"stderr": said} if said else {})}


def main() -> int:
    """Record the cases that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cases", nargs="*", help="names of cases (default: all)")
    parser.add_argument("--ansible", default=shutil.which("ansible-playbook"), help="ansible-playbook of ansible-core 2.19")
    parser.add_argument("--folder", type=Path, default=TESTS / "cases", help="folder of cases")
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time")
    asked = parser.parse_args()
    if not asked.ansible:
        parser.error("there is no ansible-playbook; install ansible-core 2.19 (extra bench) or name one with --ansible")
    names = asked.cases or sorted(path.name for path in asked.folder.iterdir() if path.is_dir())

    def one(name: str) -> None:
        case = asked.folder / name
        found = recorded(case, str(Path(asked.ansible).absolute()))
        (case / "recorded.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    with ThreadPoolExecutor(asked.jobs) as pool:
        list(pool.map(one, names))
    sys.stdout.write(f"recorded {len(names)} cases\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
