"""One look at a host's GPUs and models, for ``monitor``."""

from __future__ import annotations

import time

from remediation.facets.access import HostAccess
from remediation.model.errors import HostError, RemediationError
from remediation.report.gpus import Sample


def sample(name: str, access: HostAccess) -> Sample:
    """Look once; what cannot be read is said in the sample, never raised."""
    now = time.time()
    try:
        reader = access.reader
        use = reader.gpu.use()
    except HostError as error:
        return Sample(name, now, error=error.message)
    try:
        return Sample(name, now, use, tuple(reader.ollama.running()))
    except HostError as silent:  # a host without Ollama has GPUs all the same
        return Sample(name, now, use, silent=silent.message)


def failed(name: str, error: RemediationError) -> Sample:
    """Return the sample of a host that could not be looked at."""
    return Sample(name, time.time(), error=error.message)
