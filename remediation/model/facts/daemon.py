"""The Docker daemon of a Linux host, NVIDIA's container toolkit, and the modules of its driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class DaemonFacts:
    """The daemon behind the target's engine.

    ``config`` is the path of its ``daemon.json`` and ``text`` its content, None if it does not exist. ``flags`` are the words of the
    command line after the program. ``unit`` is the systemd unit, "" if none started it.
    """

    pid: int
    program: str
    config: str
    text: str | None
    flags: tuple[str, ...] = ()
    unit: str = ""
    rootless: bool = False
    snap: bool = False

    @property
    def flag_names(self) -> frozenset[str]:
        """The names of the flags without dashes and values."""
        return frozenset(word.lstrip("-").partition("=")[0] for word in self.flags if word.startswith("-"))


@dataclass(frozen=True, slots=True)
class KernelModule:
    """A loaded module: how many users it has, and the modules among them."""

    name: str
    users: int
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolkitFacts:
    """NVIDIA's container toolkit: its programs on PATH, and ``config`` the text of ``config.toml``, None if unreadable.

    ``release`` is what ``nvidia-ctk --version`` prints first, "" without that program.
    """

    programs: tuple[str, ...] = ()
    config: str | None = None
    release: str = ""


@dataclass(frozen=True, slots=True)
class LinuxGpuSoftware:
    """What the GPU of a container or process depends on, besides the driver's own files."""

    daemon: DaemonFacts | None = None
    toolkit: ToolkitFacts = field(default_factory=ToolkitFacts)
    modules: Mapping[str, KernelModule] = field(default_factory=dict)
