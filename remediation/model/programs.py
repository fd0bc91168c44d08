"""Program names, and the programs that are never closed."""

from __future__ import annotations

PROTECTED = frozenset({
    "system", "registry", "secure system", "memory compression", "idle", "system idle process", "smss", "csrss", "wininit",
    "winlogon", "services", "lsass", "lsaiso", "svchost", "fontdrvhost", "dwm", "logonui", "lockapp", "explorer", "sihost",
    "taskhostw", "ctfmon", "runtimebroker", "shellexperiencehost", "startmenuexperiencehost", "searchhost", "searchapp",
    "textinputhost", "applicationframehost", "audiodg", "conhost", "dllhost", "wmiprvse", "wsmprovhost", "winrshost",
    "msmpeng", "nissrv", "securityhealthservice", "nvcontainer", "nvdisplay.container", "nvlddmkm", "vmwp",
    "vmcompute", "wslservice", "wslhost", "wsl", "docker desktop", "dockerd", "vpnkit",
    "systemd", "init", "xorg", "xwayland", "gnome-shell", "kwin_wayland", "kwin_x11", "containerd", "sshd", "nvidia-persistenced",
})  # fmt: skip
SERVER = "ollama"
OLLAMA = frozenset({SERVER, "llama-server", "ollama_llama_server"})
"""Programs that hold a model's memory for Ollama: the server and its runners (``ollama_llama_server`` in older releases)."""
OLLAMA_APP = "ollama app"
"""The tray program on Windows, which starts the server."""
_PROTECTED_PREFIXES = ("com.docker.", "sshd", "containerd-shim", "vmmem", "ollama", "llama-server")


def program_name(text: str) -> str:
    """Return the normalized name of a program: ``Chrome.exe`` and ``chrome`` are equal."""
    name = text.strip().lower()
    return name.removesuffix(".exe")


def is_protected(program: str) -> bool:
    """Return whether a program is never closed: it belongs to the system, to Docker or to Ollama."""
    name = program_name(program)
    return name in PROTECTED or name.startswith(_PROTECTED_PREFIXES)
