"""Docker Desktop or WSL itself is in a bad state (facts/ollama 2.1 code 500; recordings, docker/daemon-down)."""

from __future__ import annotations

import re

from remediation.diagnosis.causes.base import CIRCUMSTANCE, FIGURES, LIKELY, Verdict, found
from remediation.diagnosis.reading import Reading
from remediation.model.finding import Cause, Quote

_RESTART = "restart Docker Desktop (wsl --shutdown, then start it again)"
_UPDATE = "update Docker Desktop (or go back to the version that worked) and the NVIDIA Windows driver"
_UPDATED = re.compile(
    r"(?:after|since|with) [^\n]{0,40}(?:update|upgrade)[^\n]{0,40}docker desktop|docker desktop[^\n]{0,30}(?:update|upgrade|4\.\d+|3\.\d+)",
    re.IGNORECASE,
)
_RESTARTED = re.compile(r"restart(?:ing|ed)? (?:docker desktop|wsl)|wsl --shutdown", re.IGNORECASE)


def find(reading: Reading) -> Verdict:
    """Look for an engine that does not answer, WSL's errors, and libraries that its GPU support lacks."""
    windows = reading.evidence.platform in {"docker-windows", "wsl", "windows"}
    hit = reading.hit("daemon_down")
    if hit is not None:
        return found(
            Cause.DOCKER_DESKTOP_STATE,
            0.93,
            "the Docker engine does not answer",
            hit.at,
            cure=_RESTART if windows else "start the Docker engine",
        )
    hit = reading.hit("desktop_state", "wsl_error")
    if hit is not None:
        state = next(
            (word for word in ("is stopped", "hangs") if f" {word}" in hit.at.text and hit.at.where.startswith("docker desktop")),
            "",
        )
        said = f"Docker Desktop {state}" if state else "Docker Desktop or WSL reports an error of its own"
        return found(Cause.DOCKER_DESKTOP_STATE, 0.9, said, hit.at, cure=_RESTART)
    code = next((one for one in reading.codes if one.code == 500), None)
    hit = reading.hit("dxg")
    if windows and (code is not None or hit is not None):
        return found(
            Cause.DOCKER_DESKTOP_STATE,
            FIGURES,
            "the GPU support of Docker Desktop's WSL lacks a library of this driver",
            code.hit.at if code else None,
            hit.at if hit else None,
            cure=_UPDATE,
        )
    hit = reading.hit("no_adapters")
    if hit is not None:
        return found(Cause.DOCKER_DESKTOP_STATE, 0.86, "WSL shows no graphics adapter to its containers", hit.at, cure=_UPDATE)
    hit = reading.hit("nvml_blocked")
    if hit is not None and windows:
        # Docker Desktop brings the container toolkit of its own virtual machine
        return found(
            Cause.DOCKER_DESKTOP_STATE,
            0.88 if reading.evidence.platform == "docker-windows" else CIRCUMSTANCE,
            "Windows blocks the access of Docker Desktop's containers to the card",
            hit.at,
            cure=_UPDATE,
        )
    hit = reading.hit("container_cli", "hook_failed")
    if windows and hit is not None and reading.hit("old_driver") is None and "unknown device" not in hit.at.text:
        return found(
            Cause.DOCKER_DESKTOP_STATE,
            0.9 if "driver error" in hit.at.text else LIKELY,
            "the GPU support inside Docker Desktop fails to start",
            hit.at,
            cure=_UPDATE,
        )
    hit = reading.hit("restarting")
    if hit is not None:
        return found(
            Cause.DOCKER_DESKTOP_STATE,
            0.7,
            "a container keeps failing and restarting",
            hit.at,
            cure="docker logs CONTAINER says why it ends",
        )
    if reading.evidence.platform == "docker-windows":
        match = _UPDATED.search(reading.prose) or _RESTARTED.search(reading.prose)
        if match:
            return found(
                Cause.DOCKER_DESKTOP_STATE,
                CIRCUMSTANCE,
                "it began or ended with Docker Desktop's own state",
                Quote("text", match[0][:160]),
                cure=_UPDATE,
            )
    return None
