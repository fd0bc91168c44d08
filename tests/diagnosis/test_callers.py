"""Who asks the server: what netstat, ss and the server's own request log say."""

from __future__ import annotations

from remediation.facets.ollama.clients import from_netstat, from_ss, mounted_configuration, requests_call
from remediation.facets.ollama.request_log import parse_matches
from remediation.model.facts import Container

NETSTAT = """
Active Connections

  Proto  Local Address          Foreign Address        State           PID
  TCP    0.0.0.0:11434          0.0.0.0:0              LISTENING       5120
  TCP    127.0.0.1:11434        127.0.0.1:50123        ESTABLISHED     5120
  TCP    127.0.0.1:50123        127.0.0.1:11434        ESTABLISHED     7788
  TCP    [::1]:50200            [::1]:11434            ESTABLISHED     7788
  TCP    192.168.1.7:50300      20.1.2.3:443           ESTABLISHED     900
"""
SS = """0      0          127.0.0.1:45678      127.0.0.1:11434 users:(("python3",pid=77,fd=5))
0      0          127.0.0.1:11434      127.0.0.1:45678 users:(("ollama",pid=12,fd=9))
0      0      [::ffff:10.0.0.5]:11434  [::ffff:10.0.0.9]:60001
"""


def container(environment: dict[str, str], mounts: list[dict[str, str]]) -> Container:
    return Container("1", "ollama", "ollama/ollama", "running", environment, {}, gpu_requested=True, raw={"Mounts": mounts})


def test_windows_names_the_programs_that_are_connected() -> None:
    assert from_netstat(NETSTAT, 11434, {7788: "C:\\Python\\python.exe", 5120: "ollama.exe"}) == (
        "python.exe (pid 7788) from 127.0.0.1:50123",
        "python.exe (pid 7788) from [::1]:50200",
    )


def test_linux_names_programs_here_and_addresses_elsewhere() -> None:
    assert from_ss(SS, 11434) == ("python3 (pid 77) from 127.0.0.1:45678", "a client at [::ffff:10.0.0.9]")


def test_requests_are_read_only_where_the_server_was_told_to_write_them() -> None:
    assert requests_call(None, {}) is None
    assert requests_call(container({"OLLAMA_DEBUG_LOG_REQUESTS": "0"}, []), {}) is None
    call = requests_call(container({"OLLAMA_DEBUG_LOG_REQUESTS": "1"}, []), {})
    assert call is not None
    assert call.argv[:3] == ("docker", "exec", "ollama")
    assert not call.writes


def test_what_the_server_wrote_is_gathered_by_file() -> None:
    text = (
        '/tmp/ollama-request-logs-1/a.json:"model": "mistral:7b"\n/tmp/ollama-request-logs-1/a.json:"num_gpu": 1\n'
        '/tmp/ollama-request-logs-1/b.json:"model": "phi3"\n/tmp/other.json:"num_gpu": 4\n'
    )
    assert parse_matches(text) == (
        ("/tmp/ollama-request-logs-1/a.json", '"model": "mistral:7b", "num_gpu": 1'),
        ("/tmp/ollama-request-logs-1/b.json", '"model": "phi3"'),
    )


def test_only_files_of_configuration_are_read_of_what_is_mounted() -> None:
    mounts = [
        {"Type": "bind", "Source": "C:\\dev\\app\\config.yaml"},
        {"Type": "bind", "Source": "/srv/app/.env"},
        {"Type": "bind", "Source": "/srv/app"},
        {"Type": "volume", "Source": "/var/lib/docker/volumes/x/_data/a.json"},
    ]
    assert mounted_configuration([container({}, mounts)]) == ("C:\\dev\\app\\config.yaml", "/srv/app/.env")
