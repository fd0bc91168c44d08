"""A password that must stay secret: looked for in every process, log, error, note and recording while connections work and fail."""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path

import pytest

from remediation.connections.calls import Completed, Run
from remediation.connections.recorder.cassette import Cassette
from remediation.connections.settings import from_variables
from remediation.model.errors import HostError
from remediation.templating.yaml.secret import Secret
from tests.connections.conftest import StartPeer, opened, winrm_variables

CANARY = "c4nary-s1ngs-quietly"
LOOK = (
    "import pathlib, sys\n"
    "for each in pathlib.Path('/proc').glob('[0-9]*/[ce][mn][dv]*'):\n"
    "    if each.name in ('cmdline', 'environ'):\n"
    "        try: sys.stdout.buffer.write(each.read_bytes())\n"
    "        except OSError: pass\n"
)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked at through /proc")
@pytest.mark.parametrize("fault", ["", "401", "drop-after", "garbage", "500"])
def test_the_canary_is_seen_nowhere(
    start_peer: StartPeer, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], fault: str
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "users").write_text(f":ops:{CANARY}\n", "utf-8")
    server = start_peer()
    if fault:
        server.plan("Receive", 2, fault)
        server.plan("Send", 5, fault)
    variables = winrm_variables(server, ansible_password=Secret(CANARY))
    tape = Cassette(tmp_path / "tape")
    settings = from_variables("box", variables)
    guard = opened(variables, recorder=tape.recorder(settings))
    look = Run((sys.executable, "-I", "-c", LOOK), writes=bool(fault))
    said: list[str] = [repr(settings), repr(guard)]
    for _ in range(4):
        try:
            (reply,) = guard.exchange([look])
        except HostError as error:
            said += [str(error), repr(error), error.next_step, *traceback.format_exception(error)]
        else:
            assert isinstance(reply, Completed)
            said.append(reply.stdout.decode("utf-8", "replace"))
    guard.close()
    tape.save()
    said += [(tmp_path / "tape").read_text("utf-8"), *guard.notes, caplog.text, *capfd.readouterr()]
    assert sum("worker.py" in text for text in said) >= 1  # it did look at processes
    assert not any(CANARY in text for text in said)
