"""The text of a program ``nvidia-smi`` for Linux that answers CSV queries from a GPU's snapshot, as the driver's own would."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.image import LAB

_TEXT = """#!{python}
import sys
sys.path.insert(0, {lab!r})
from pathlib import Path
from remediation_lab.ollama import snapshot

MIB = 1024 ** 2
card = snapshot.read(Path({snapshot!r}))
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


def install(folder: Path, snapshot: Path) -> Path:
    """Write the program into `folder`; it knows no field of a driver newer than 2020."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "nvidia-smi"
    path.write_text(_TEXT.format(python=sys.executable, lab=str(LAB), snapshot=str(snapshot)), encoding="utf-8")
    path.chmod(0o755)
    return path
