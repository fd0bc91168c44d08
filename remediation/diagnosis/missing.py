"""What to collect next where nothing is proven: the exact command."""

from __future__ import annotations

from collections.abc import Sequence

from remediation.diagnosis.reading import Reading
from remediation.model.finding import Finding

_ENOUGH = 0.8


def to_collect(reading: Reading, findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return the commands whose output would decide it, the most telling first."""
    if findings and findings[0].confidence >= _ENOUGH:
        return ()
    container = reading.in_container
    wanted = []
    if not any(log.loads or log.starts for log in reading.logs):
        if container:
            wanted.append("docker logs --tail 4000 ollama")
        elif reading.evidence.platform == "windows":
            wanted.append(r"type %LOCALAPPDATA%\Ollama\server.log")
        else:
            wanted.append("journalctl -u ollama --no-pager -n 4000")
    if not reading.ps:
        wanted.append("ollama ps" if not container else "docker exec ollama ollama ps")
    if not reading.smi:
        wanted.append("nvidia-smi" if not container else "docker exec ollama nvidia-smi")
    if container and not reading.docker:
        wanted.append("docker inspect ollama")
    if not reading.asks:
        wanted.append("ollama show --parameters MODEL")
    if not wanted:
        wanted.append("the server's log after a restart with OLLAMA_DEBUG=2 and one load of the model")
    return tuple(wanted)
