"""The commands that collect missing evidence if no cause is proven."""

from __future__ import annotations

from collections.abc import Sequence

from remediation.diagnosis.facts.base import Facts
from remediation.diagnosis.readers.reading import Reading
from remediation.model.facts import Manager
from remediation.model.finding import Finding

_OWN_LOG = frozenset({Manager.WINDOWS_SERVICE, Manager.WINDOWS_TASK, Manager.PROCESS})
"""What starts a server and decides where its output goes."""
_ENOUGH = 0.8
_LIMIT_OF_CONTAINER = "docker inspect --format '{{.HostConfig.Memory}} {{.State.OOMKilled}}' ollama"
_ENDED = "dmesg | grep -i oom"


def to_collect(reading: Reading, facts: Facts, findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return the commands whose output would decide, the most informative first."""
    if findings and findings[0].confidence >= _ENOUGH:
        return ()
    if reading.evidence.rights:  # this login is refused the other missing parts too
        return ()
    container = reading.in_container
    wanted = []
    if not any(log.loads or log.starts for log in reading.logs):
        wanted.append(_log(reading))
    if not reading.ps:
        wanted.append("ollama ps" if not container else "docker exec ollama ollama ps")
    if not reading.smi:
        cards = "nvidia-smi" if not container else "docker exec ollama nvidia-smi"
        wanted.insert(0 if facts.holds("discovery.empty") else len(wanted), cards)
    if container and not reading.docker:
        wanted.append("docker inspect ollama")
    if (
        facts.holds("load.died_without_layers") or reading.hit("runner_died") is not None
    ) and reading.evidence.platform != "windows":
        wanted.append(_limit(reading))
    if not reading.asks:
        wanted.append("ollama show --parameters MODEL")
    if not wanted:
        wanted.append("the server's log after a restart with OLLAMA_DEBUG=2 and one load of the model")
    return tuple(wanted)


def _limit(reading: Reading) -> str:
    if reading.in_container:
        return _LIMIT_OF_CONTAINER
    serving = reading.evidence.serving
    if serving is not None and serving.manager is Manager.PROCESS:
        return _ENDED
    return f"systemctl show {reading.evidence.unit} --property=MemoryMax; {_ENDED}"


def _log(reading: Reading) -> str:
    if reading.in_container:
        return "docker logs --tail 4000 ollama"
    windows, serving = reading.evidence.platform == "windows", reading.evidence.serving
    if serving is not None and serving.elsewhere is not None:
        return serving.elsewhere.next_step
    if serving is not None and serving.manager in _OWN_LOG and serving.process is not None:
        log = serving.process.log
        return serving.how_to_log if not log else f"type {log}" if windows else f"tail -n 4000 {log}"
    if windows:
        return r"type %LOCALAPPDATA%\Ollama\server.log"
    return f"journalctl -u {reading.evidence.unit} --no-pager -n 4000"
