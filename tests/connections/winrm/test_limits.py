"""Any answer of a WinRM service costs a bounded amount of memory and time, and redirects no request. A hostile server answers the first message."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from remediation.connections.calls import Run
from remediation.connections.guard import Guard
from remediation.connections.winrm.transport import forbidden_xml
from remediation.model import limits
from remediation.model.errors import HostError, Unreachable
from tests.connections.conftest import PASSWORD, opened
from tests.connections.hostile_servers import REDIRECTS, TOO_MUCH, TOO_SLOW, Hostile, Servers, envelope, servers

__all__ = ["servers"]
SLACK = 16_000_000
"""Bytes that may be in buffers of the kernel when the reading ends."""
posix = pytest.mark.skipif(sys.platform == "win32", reason="FIFOs and limits of memory are POSIX")


def winrm(server: Hostile, **more: object) -> Guard:
    return opened({
        "ansible_connection": "winrm", "ansible_host": "127.0.0.1", "ansible_port": server.port, "ansible_winrm_scheme": "http",
        "ansible_user": "ops", "ansible_password": PASSWORD, "ansible_winrm_operation_timeout_sec": 1,
        "ansible_winrm_read_timeout_sec": 2, "ansible_timeout": 2, **more,
    })  # fmt: skip


def unreachable(guard: Guard) -> HostError:
    with pytest.raises(Unreachable) as caught:
        guard.exchange([Run(("x",), writes=True)])
    guard.close()
    assert "\n" not in caught.value.message
    assert caught.value.next_step
    return caught.value


@pytest.mark.parametrize("answer", [*TOO_MUCH, *TOO_SLOW, "gzip bomb"])
def test_a_winrm_service_that_answers_too_much_or_too_slowly(servers: Servers, answer: str) -> None:
    server = servers.start(answer)
    unreachable(winrm(server))
    assert server.sent < limits.ENVELOPE + SLACK
    assert b"Accept-Encoding: identity" in server.requests[0]


@pytest.mark.parametrize("status", REDIRECTS)
def test_a_winrm_service_that_redirects_gets_nothing_more(servers: Servers, status: int) -> None:
    server, elsewhere = servers.redirecting(status, "/wsman")
    error = unreachable(winrm(server))
    assert f"the service redirects to {elsewhere.url}/wsman (HTTP {status}), and redirects are not followed" in error.message
    assert "ansible_host" in error.next_step
    assert (len(server.requests), len(elsewhere.requests)) == (1, 0)


ENTITIES = '<!DOCTYPE s [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(8)
) + "]>"  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{ENTITIES}<s>&i;</s>", "has a document type"), (f"{ENTITIES}<s>&i;</s>".encode("utf-16").decode("latin-1"), "has a document type"),
        ("<a>" * 150_000, "is nested deeper"), ("<a>" * 101 + "</a>" * 101, "is nested deeper"), ("<a>" * 100 + "</a>" * 100, ""), ("no XML", ""),
    ],
    ids=["entities", "utf-16", "deep", "101", "100", "none"],
)  # fmt: skip
def test_xml_that_no_parser_gets(text: str, problem: str) -> None:
    assert problem in forbidden_xml(text.encode("latin-1"))
    assert bool(problem) == bool(forbidden_xml(text.encode("latin-1")))


@pytest.mark.parametrize("body", ["<a>" * 1000, "", "<b/>" * 10_000])
def test_a_winrm_answer_that_is_no_message_is_one_sentence(servers: Servers, body: str) -> None:
    unreachable(winrm(servers.start([envelope(body, ENTITIES if not body else "")])))


@posix
@pytest.mark.parametrize("way", ["local", "winrm"])
@pytest.mark.parametrize("answer", ["endless body", "endless header line", "endless continue", "gzip bomb"])
def test_memory_is_bounded(servers: Servers, way: str, answer: str) -> None:
    """In a process that may take no more than 600 MB of address space."""
    server = servers.start(answer)
    code = (
        "import resource, sys\n"
        "from remediation.connections.calls import Http, Run\n"
        "from tests.connections.winrm.test_limits import opened, winrm\n"
        "class Server: port = int(sys.argv[2])\n"
        "guard = winrm(Server) if sys.argv[1] == 'winrm' else opened({'ansible_connection': 'local'})\n"
        "resource.setrlimit(resource.RLIMIT_AS, (600_000_000,) * 2)\n"
        "call = Http('GET', f'http://127.0.0.1:{Server.port}/api/version') if sys.argv[1] == 'local' else Run(('x',))\n"
        "try: print(guard.exchange([call]))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, way, str(server.port)], capture_output=True, text=True, timeout=60, check=False,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[Failed(kind='error'" if way == "local" else "Unreachable"), done.stdout
