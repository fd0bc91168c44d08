"""How a program is ended whose time is over."""

from __future__ import annotations

import subprocess
import sys

import pytest

from remediation.connections.posix.sudo import kill

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups of POSIX")


@pytest.mark.parametrize("leads", [True, False])
def test_a_program_ends_with_its_descendants_whether_or_not_its_server_gave_it_a_group(leads: bool) -> None:
    # OpenSSH starts each program in a process group; Dropbear does not
    with subprocess.Popen(
        ["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, text=True, start_new_session=leads
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline()
        try:
            subprocess.run(kill(program.pid), check=False, capture_output=True, timeout=60)
            assert program.wait(30) != 0
            assert program.stdout.read() == "", "the child holds the pipe for as long as it runs"
        finally:
            program.kill()
