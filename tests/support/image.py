"""The Ollama image of the live tests, made from scratch: this host's Python, a few programs, and the stand-in as /bin/ollama."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LAB = REPOSITORY / "lab"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
_TOOLS = ("sh", "env", "cat", "ls", "sleep", "sha256sum", "mv", "cp", "rm", "mkdir", "tar", "df", "du", "id", "touch")
_LEFT_OUT = frozenset(
    {
        "site-packages",
        "dist-packages",
        "test",
        "tests",
        "idlelib",
        "tkinter",
        "turtledemo",
        "lib2to3",
        "ensurepip",
        "pydoc_data",
        "config",
    }
)
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
    "NVIDIA_VISIBLE_DEVICES": "all",  # the official image sets it too, GPU or none: facts/ollama 1.2
    "OLLAMA_HOST": "0.0.0.0:11434",
}
SPEED = 100
"""How many times faster than a laptop the stand-in in the image is, so that tests do not wait."""
_START = f"""#!/bin/sh
PYTHONPATH=/opt exec /opt/python/bin/{PYTHON} -u -m remediation_lab.ollama --memory /run/nvidia/gpu.txt --speed {SPEED} "$@"
"""


def archive() -> bytes:
    """Return the root file system as a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("tmp", "proc", "sys", "dev", "etc", "run", "root"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755 if folder != "tmp" else 0o1777
            tar.addfile(entry)
        _write(tar, "bin/ollama", _START.encode(), 0o755)
        for source, target in _files():
            tar.add(source, target, recursive=False)
    return buffer.getvalue()


def changes() -> list[str]:
    """Return the `--change` options of `docker import` that give the image its environment and start program."""
    lines = [
        *(f"ENV {key}={value}" for key, value in _ENVIRONMENT.items()),
        'ENTRYPOINT ["/bin/ollama"]',
        'CMD ["serve"]',
        "EXPOSE 11434",
    ]
    return [part for line in lines for part in ("--change", line)]


def _write(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _files() -> Iterator[tuple[str, str]]:
    """Yield (path on the host, path in the image)."""
    python = Path(sys.base_prefix) / "bin" / PYTHON
    programs = {Path(found).resolve(): f"bin/{name}" for name in _TOOLS if (found := shutil.which(name))}
    binaries = {python.resolve(): f"opt/python/bin/{PYTHON}", **programs}
    yield from ((str(source), target) for source, target in binaries.items())
    modules = []
    for place in sorted({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}):
        for path in _walk(Path(place)):
            if path.suffix == ".so":
                modules.append(path)
            yield str(path), f"opt/python/lib/{PYTHON}/{path.relative_to(place)}"
    for library in sorted(_libraries([*binaries, *modules])):
        yield str(Path(library).resolve()), library.lstrip("/")
    own = [*(REPOSITORY / "remediation").glob("*.py"), *_walk(REPOSITORY / "remediation/model"), *_walk(LAB / "remediation_lab")]
    yield from ((str(path), f"opt/{path.relative_to(LAB if path.is_relative_to(LAB) else REPOSITORY)}") for path in own)
    homes = {sysconfig.get_path("stdlib"): f"opt/python/lib/{PYTHON}", str(LAB): "opt", str(REPOSITORY): "opt"}
    for compiled in _compiled():
        for home, target in homes.items():
            if compiled.is_relative_to(home):
                yield str(compiled), f"{target}/{compiled.relative_to(home)}"
                break


def _compiled() -> list[Path]:
    """Return the bytecode of what the stand-in loads: every container is new, and would compile all of it each time it starts."""
    listing = "import sys, remediation_lab.ollama.__main__\nfor each in sys.modules.values(): print(getattr(each, '__cached__', None) or '')"
    command = [sys.executable, "-S", "-c", listing]
    found = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(LAB), str(REPOSITORY)])},
    ).stdout
    return [path for path in map(Path, filter(None, found.splitlines())) if path.exists()]


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if not path.name.startswith(tuple(_LEFT_OUT)) and path.name != "__pycache__":
                yield from _walk(path)
        elif path.is_file():
            yield path


def _libraries(binaries: list[Path]) -> set[str]:
    """Return every shared library that these files load, and the loader, by the path under which it is looked for."""
    listed = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True, check=False).stdout
    return set(re.findall(r"(?:=> |^\t)(/\S+) \(0x", listed, re.MULTILINE))
