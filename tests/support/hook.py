"""The text of `nvidia-container-runtime-hook` for a private engine: it mounts a GPU's snapshot into the container, as the real
hook mounts device files and libraries.  The engine accepts GPU requests as soon as a program of that name is on its PATH.
"""

from __future__ import annotations

import sys
from pathlib import Path

NAME = "nvidia-container-runtime-hook"
_TEXT = """#!{python} -IS
import json, os, subprocess, sys

state = json.load(sys.stdin)
config = json.load(open(os.path.join(state["bundle"], "config.json"), encoding="utf-8"))
environment = dict(pair.partition("=")[::2] for pair in config["process"]["env"])
if environment.get("NVIDIA_VISIBLE_DEVICES", "") in ("", "void", "none"):
    sys.exit(0)
inside = os.path.join(config["root"]["path"], "run", "nvidia")
os.makedirs(inside, exist_ok=True)
# before pivot_root the host's paths and the container's root are both visible in its mount namespace
subprocess.run(["nsenter", "-t", str(state["pid"]), "-m", "mount", "--bind", {gpu!r}, inside], check=True)
"""


def install(folder: Path, gpu: Path) -> None:
    """Write the hook into `folder`; containers with a GPU see the folder `gpu` as /run/nvidia."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    path.write_text(_TEXT.format(python=sys.executable, gpu=str(gpu)), encoding="utf-8")
    path.chmod(0o755)
