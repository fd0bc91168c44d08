"""Addresses as users write them: read in their obvious meaning, or refused with one sentence before a host is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from remediation.connections import addresses
from remediation.connections.calls import Failed, Http
from remediation.connections.settings import from_variables, with_servers
from remediation.facets.host_factory import open_host
from remediation.inventory.check import check_addresses, check_inventory
from remediation.inventory.load import load_inventory
from remediation.model.errors import InputError, UsageError
from tests.connections.conftest import opened

WINRM = {"ansible_connection": "winrm", "ansible_user": "ops", "ansible_password": "s3cr3t"}
BROKEN = (
    "http://127.0.0.1:abc", "http://127.0.0.1:99999", ":99999", "http://[::1", "http://[::1]x", "[::g]", "http://", "", "ftp://gpu", "file:///etc",
    "http://ops:s3cr3t@gpu:11434", "ops:s3cr3t@gpu", "http://gpu:1?x", "http://gpu#x", "http://gpu:", "http://gpu:0", "http://gpu:-1", "http://a b",
    "http://gpu/api", "http://gpu/api/generate", "http://gpu/v1/", "gpu:\u0663", "http://gpu:1:2", "gpu\n", "gp\nu", "\x1b[2J", "-", "http:/gpu",
    "gpu..example", "http://.gpu", f"{'g' * 64}.example", "g." * 130,
)  # fmt: skip


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434"), ("http://127.0.0.1:11434/", "http://127.0.0.1:11434"),
        (" http://gpu:1 ", "http://gpu:1"), ("localhost:11434", "http://localhost:11434"), ("127.0.0.1", "http://127.0.0.1:11434"),
        ("gpu-1.example", "http://gpu-1.example:11434"), (":8080", "http://127.0.0.1:8080"), ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:80", "http://127.0.0.1:80"), ("::1", "http://[::1]:11434"), ("[::]:5", "http://[::1]:5"), ("[::1]", "http://[::1]:11434"),
        ("HTTPS://gpu", "https://gpu"), ("http://gpu", "http://gpu"), ("https://gateway/ollama/", "https://gateway/ollama"),
    ],
)  # fmt: skip
def test_an_endpoint_is_read_as_ollama_host_is(written: str, meant: str) -> None:
    assert addresses.endpoint(written) == meant
    assert addresses.endpoint(meant) == meant
    assert with_servers("box", {"endpoint": written})["endpoint"] == meant


@pytest.mark.parametrize("written", [each for each in BROKEN if each not in {"", "gpu\n"}])
def test_an_endpoint_that_cannot_be_is_refused(written: str) -> None:
    with pytest.raises(UsageError, match="box: endpoint cannot be") as caught:
        with_servers("box", {"endpoint": written})
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.next_step == "write endpoint as http://127.0.0.1:11434"
    with pytest.raises(UsageError):
        open_host("localhost", {"endpoint": written}, check=True)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("mirror.example", "https://mirror.example"),
        ("http://mirror:5000/", "http://mirror:5000"),
        ("mirror:5000", "https://mirror:5000"),
    ],
)
def test_a_registry_is_https_where_nothing_else_is_written(written: str, meant: str) -> None:
    assert addresses.registry_address(written) == meant


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:abc/", "http://127.0.0.1:99999/", "http://[::1/", "nonsense", "http:///x", "ftp://127.0.0.1/"]
)
def test_a_request_to_no_address_is_a_failure(url: str) -> None:
    (reply,) = opened({"ansible_connection": "local"}).exchange([Http("GET", url)])
    assert isinstance(reply, Failed)
    assert reply.kind == "error"


@pytest.mark.parametrize(
    "more",
    [
        {"ansible_host": "http://gpu"}, {"ansible_host": "gpu:5986"}, {"ansible_host": "ops@gpu"}, {"ansible_host": "gpu/x"}, {"ansible_host": "a b"},
        {"ansible_host": "gpu#"}, {"ansible_host": "gpu..example"}, {"ansible_host": "g" * 64}, {"ansible_port": "fünf"}, {"ansible_port": "\u0665"}, {"ansible_port": "9" * 5000}, {"ansible_port": True},
        {"ansible_winrm_proxy": "http://proxy:abc"}, {"ansible_winrm_proxy": "http://u:s3cr3t@"}, {"ansible_winrm_proxy": "socks9://proxy"},
    ],
    ids=str,
)  # fmt: skip
def test_parts_of_a_connections_address(more: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        from_variables("box", {**WINRM, **more})
    assert next(iter(more)) in caught.value.message
    assert "s3cr3t" not in str(caught.value)


def test_addresses_that_are_right_stay_as_they_are() -> None:
    for host in ("gpu", "10.0.0.1", "::1", "[::1]", "fe80::1%eth0", "gpu_1.example", "bücher.example"):
        assert from_variables("box", {**WINRM, "ansible_host": host}).address == host.strip("[]")
    settings = from_variables("box", {**WINRM, "ansible_winrm_proxy": "http://u:p@proxy:3128"})
    assert settings.winrm.proxy == "http://u:p@proxy:3128"


def test_the_inventory_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text(
        "all:\n  hosts:\n    a: {endpoint: 'http://127.0.0.1:abc'}\n    b: {ansible_port: fünf}\n    c: {registry: 'http://'}\n"
        "    d: {endpoint: '{{ later }}'}\n    e: {endpoint: 'localhost:11434'}\n",
        "utf-8",
    )
    for judge in (check_inventory, check_addresses):
        with pytest.raises(InputError) as caught:
            judge(load_inventory([path]), {"endpoint": "gpu:11434"} if judge is check_addresses else None)
        places = [(problem.place.line if problem.place else 0) for problem in caught.value.problems]
        assert places == ([4, 5] if judge is check_addresses else [3, 4, 5])
