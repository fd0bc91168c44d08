"""Keep the guide's project up on a private engine, for work by hand: ``python -m tests.support [FAULT]`` (docs/lab.md).

Prints the environment as lines for a POSIX shell, then stays until Ctrl-C; another fault's name on stdin is put in.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from remediation_lab.free_ports import free_port
from tests.support import guide_host, nvml_library
from tests.support.engine import add_image, private_engine
from tests.support.project import Project

SUBNET = 251


def main(arguments: Sequence[str] | None = None) -> int:
    """Bring it up, say how to reach it, and obey."""
    parser = argparse.ArgumentParser(prog="python -m tests.support", description=__doc__)
    parser.add_argument("fault", nargs="?", choices=list(guide_host.FAULTS), default="num-gpu-1")
    parser.add_argument("--port", type=int, default=None, help="where Ollama answers on this machine; default: a free one")
    parser.add_argument(
        "--without-hook", action="store_true", help="the engine knows no NVIDIA runtime; the project is not brought up"
    )
    parser.add_argument("--env-file", type=Path, default=None, help="write the lines there as well")
    options = parser.parse_args(arguments)
    try:
        with private_engine(gpu_hook=not options.without_hook, subnet=SUBNET) as engine:
            add_image(engine)
            folder = engine.folder / "activia1-main"
            folder.mkdir()
            project = Project(engine, folder, options.port or free_port())
            project.write()
            if not options.without_hook:
                guide_host.FAULTS[options.fault](project)
            given = guide_host.environment(engine, nvml_library.build(engine.folder))
            new = {key: value for key, value in given.items() if os.environ.get(key) != value}
            lines = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in sorted(new.items()))
            if options.env_file is not None:
                options.env_file.write_text(lines, encoding="utf-8")
            sys.stdout.write(f"{lines}# project: {folder}\n# Ollama: http://127.0.0.1:{project.port}\n# fault: {options.fault}\n")
            sys.stdout.flush()
            _obey(project)
            project.down()
    except KeyboardInterrupt:
        return 130
    except pytest.skip.Exception as reason:  # a real part is missing; the same words as in a test
        sys.stderr.write(f"{reason}\n")
        return 1
    return 0


def _obey(project: Project) -> None:
    for line in sys.stdin:
        name = line.strip()
        if name in guide_host.FAULTS:
            guide_host.FAULTS[name](project)
            sys.stdout.write(f"# fault: {name}; layers {guide_host.layers(project) or 'no line'}\n")
        elif name:
            sys.stdout.write(f"# faults: {', '.join(guide_host.FAULTS)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
