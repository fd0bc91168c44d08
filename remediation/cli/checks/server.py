"""``check-host``: what serves Ollama on the host, where its settings live, and whether its log can be read."""

from __future__ import annotations

from collections.abc import Iterator

from remediation.cli.checks.check import Check, good, lacking, worth_knowing
from remediation.facets.protocols import Reader
from remediation.model.errors import HostError
from remediation.model.facts import Manager, Serving

SETTINGS = "ollama.environment, ollama.reconfigured"
_FEW = 20


def server_checks(reader: Reader) -> Iterator[Check]:
    """Check what serves the model. A host on which nothing is found has its fault in the check of Ollama itself."""
    serving = reader.services.serving()
    if serving.manager is Manager.NOTHING:
        return
    yield _manager(serving)
    if serving.others:
        listed = ", ".join(f"process {one.pid} of {one.user} ({one.path or 'unknown path'})" for one in serving.others)
        yield worth_knowing(
            "second server", f"another Ollama server runs here: {listed}", "",
            "stop the one that is not needed: both want the port and the card; its models may be in another folder",
        )  # fmt: skip
    if serving.manager in {Manager.SYSTEMD, Manager.PROCESS}:
        yield _log(reader, serving)


def _manager(serving: Serving) -> Check:
    unit, process = serving.unit, serving.process
    where = " in WSL" if serving.wsl else ""
    if unit is not None and not unit.pid and unit.state != "active":
        cure = f"sudo systemctl start {unit.short}; journalctl -u {unit.short} -n 50"
        return lacking("server", f"{serving.words}{where} is {unit.state or 'stopped'}", "model.*", cure)
    if unit is not None and unit.needs_reload:
        text = f"{serving.words}{where}; systemd has not read its changed unit files yet"
        return worth_knowing("server", text, "", f"sudo systemctl daemon-reload && sudo systemctl restart {unit.short}")
    if unit is not None and process is not None and process.environment is None:
        text = f"{serving.words}{where}; this login cannot read the environment of its process"
        return worth_knowing("server", text, SETTINGS, "ansible_become: true, with a login that may use sudo")
    if unit is not None:
        files = sorted({one.file for one in unit.settings if one.wins})
        return good("server", f"{serving.words}{where}" + (f", settings from {', '.join(files)}" if files else ""))
    if serving.manager is Manager.PROCESS and process is not None:
        cure = f"run it as a service (curl -fsSL https://ollama.com/install.sh | sh), or restart it by hand: kill {process.pid}; ollama serve"
        return worth_knowing("server", f"{serving.words}{where}", f"{SETTINGS}, ollama.restarted", cure)
    if serving.manager is Manager.CONTAINER:
        cure = "define it in a Compose file: docs.docker.com/compose"
        return worth_knowing("server", f"{serving.words}, created without Compose", SETTINGS, cure)
    return good("server", serving.words)


def _log(reader: Reader, serving: Serving) -> Check:
    try:
        reader.ollama.log(tail=_FEW)
    except HostError as error:
        blocks = "the diagnosis of past loads; /api/ps and the GPU are judged"
        if serving.manager is Manager.SYSTEMD:
            cure = "sudo usermod -aG systemd-journal LOGIN and a new login, or ansible_become: true"
        else:
            cure = "start it with its output in a file: ollama serve > ollama.log 2>&1"
        return worth_knowing("server log", error.message, blocks, cure)
    return good("server log", "readable")
