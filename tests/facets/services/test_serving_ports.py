"""Of several servers, the one at the addressed port counts, and the log of another one is no evidence."""

from __future__ import annotations

import pytest

from remediation.connections.addresses import listening_port
from remediation.connections.calls import Completed
from remediation.facets.ollama.service_log import ServiceLog
from remediation.facets.services.serving import from_script
from remediation.facets.target import server_address
from remediation.model.errors import CallFailed
from remediation.model.facts import Manager, ServerProcess, Serving
from tests.facets.prepared_connection import Answering
from tests.facets.services.test_unit_files import SCRIPT


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("", 11434),
        ("0.0.0.0", 11434),
        ("127.0.0.1:11500", 11500),
        (":11500", 11500),
        ("[::]:11500", 11500),
        ("::1", 11434),
        ("http://10.0.0.5:8080/", 8080),
        ("http://10.0.0.5", 80),
        ("'0.0.0.0:11500'", 11500),
        ("0.0.0.0:ninety", 11434),
        ("0.0.0.0:70000", 11434),
    ],
)
def test_the_port_that_a_value_of_ollama_host_names(host: str, port: int) -> None:
    assert listening_port(host) == port


BY_HAND = "server 5 maria /opt/ollama\ngroup 5 /user.slice\nreadable 5\nlog 5 /home/maria/ollama.log\n"


def test_of_two_servers_the_one_at_the_addressed_port_is_meant() -> None:
    for endpoint, pid in (("http://127.0.0.1:11500", 77), ("http://127.0.0.1:11434", 5)):
        found = from_script(BY_HAND + SCRIPT, endpoint)
        assert (found.process.pid if found.process else None, found.elsewhere) == (pid, None)


@pytest.mark.parametrize("endpoint", ["https://127.0.0.1", "https://gateway/ollama", "http://gpu-1:8080"])
def test_behind_a_gateway_the_server_may_be_at_any_port(endpoint: str) -> None:
    found = from_script(BY_HAND, endpoint)
    assert (found.process.pid if found.process else None, found.elsewhere) == (5, None)


def test_a_server_at_another_port_than_the_addressed_one_is_not_it() -> None:
    found = from_script(BY_HAND + SCRIPT, "http://127.0.0.1:11600")
    assert (found.manager, found.unit, found.process, len(found.others)) == (Manager.NOTHING, None, None, 2)
    assert str(found.elsewhere) == ("no Ollama server was found here at port 11600; the process 5 of maria listens at port 11434")
    # a process whose environment this login may not read can be the one
    unreadable = BY_HAND.replace("readable 5\n", "") + SCRIPT
    found = from_script(unreadable, "http://127.0.0.1:11600")
    assert (found.process.pid if found.process else None, found.elsewhere) == (5, None)


def test_a_stopped_unit_of_the_addressed_port_is_what_is_missing_there() -> None:
    stopped = (
        SCRIPT.partition("unit ")[2].replace("MainPID=77", "MainPID=0").replace("ActiveState=active", "ActiveState=inactive")
    )
    found = from_script(f"{BY_HAND}unit {stopped}", "http://127.0.0.1:11500")
    assert (found.manager, found.name, found.process, found.elsewhere) == (Manager.SYSTEMD, "llm.service", None, None)
    assert [one.pid for one in found.others] == [5]
    assert from_script(f"{BY_HAND}unit {stopped}", "http://127.0.0.1:11600").elsewhere is not None


def test_the_log_of_another_server_is_not_read() -> None:
    journal = 'time=x level=INFO msg="Listening on 127.0.0.1:11500 (version 0.13.5)"\n'

    def runs(argv: tuple[str, ...]) -> Completed | None:
        script = SCRIPT.replace("readable 77\nenv 77 OLLAMA_HOST=127.0.0.1:11500\n", "")
        text = {"sh": script, "journalctl": journal}.get(argv[0])
        return None if text is None else Completed(0, text.encode(), b"")

    for endpoint in ("", "http://127.0.0.1:11500"):
        assert ServiceLog(Answering(runs=runs).look(hints={"endpoint": endpoint})).read(tail=10) == journal
    look = Answering(runs=runs).look(hints={"endpoint": "http://127.0.0.1:11434"})
    with pytest.raises(CallFailed, match="no Ollama server was found here at port 11434") as refused:
        ServiceLog(look).read(tail=10)
    assert refused.value.next_step.startswith("set endpoint: http://127.0.0.1:11500 in the inventory")
    assert ServiceLog(look, anywhere=True).read(tail=10) == journal


def test_a_windows_server_whose_log_names_another_port_is_not_it() -> None:
    path = "C:\\Users\\maria\\AppData\\Local\\Ollama\\server.log"
    files = {path: b'time=x level=INFO msg="Listening on 127.0.0.1:11434 (version 0.13.5)"\r\n'}
    look = Answering(platform="windows", files=files, probes={"session": {"DesktopUser": "PC\\maria", "User": "PC\\admin"}})
    assert "11434" in ServiceLog(look.look(hints={"endpoint": "http://127.0.0.1:11434"})).read(tail=10)
    with pytest.raises(CallFailed, match="at port 11500; the server that writes the log which was found listens at port 11434"):
        ServiceLog(look.look(hints={"endpoint": "http://127.0.0.1:11500"})).read(tail=10)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0:11500", "http://127.0.0.1:11500"),
        ("127.0.0.1", "http://127.0.0.1:11434"),
        (":8080", "http://127.0.0.1:8080"),
        ("", ""),
    ],
)
def test_the_address_of_a_server_is_that_of_its_environment(host: str, url: str) -> None:
    process = ServerProcess(5, "maria", environment={"OLLAMA_HOST": host} if host else {})
    assert server_address(Serving(Manager.PROCESS, process=process)) == url
