"""The load of this machine during a request, however short the request is."""

from __future__ import annotations

import pytest

from remediation.facets.ollama.generate import Sampler, cpu_times

pytestmark = pytest.mark.skipif(cpu_times() is None, reason="this system has no /proc/stat")


def test_a_request_that_takes_no_tick_of_the_clock_has_a_load() -> None:
    for _ in range(30):
        sampler = Sampler("localhost")
        sampler.start()
        sampler.end()
        assert len(sampler.cpu) == 1
        assert 0 <= sampler.cpu[0] <= 100
