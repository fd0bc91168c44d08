"""HTTPS verifies the host, unless the inventory says otherwise for that very host; then every report says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediation.connections.calls import Completed, Run
from remediation.model.errors import CertificateRefused, Unreachable
from tests.connections import certificates
from tests.connections.conftest import StartPeer, opened, winrm_variables
from tests.connections.peer.winrm_server import WinRmPeer


def over_https(server: WinRmPeer, **more: object) -> dict[str, object]:
    return winrm_variables(server, ansible_winrm_scheme="https") | more


@pytest.mark.parametrize("transport", ["ntlm", "basic"])
@pytest.mark.parametrize("own", [False, True], ids=["authority", "pinned"])
def test_a_private_authority_or_a_pinned_certificate(start_peer: StartPeer, tmp_path: Path, transport: str, *, own: bool) -> None:
    trusted, context = certificates.made(tmp_path, "127.0.0.1", own=own)
    server = start_peer(tls=context, basic=transport == "basic")
    variables = over_https(server, ansible_winrm_ca_trust_path=str(trusted), ansible_winrm_transport=transport)
    guard = opened(variables)
    (done,) = guard.exchange([Run(("echo", "hello"))])
    assert done == Completed(0, b"hello\n", b"")
    guard.close()
    assert (server.shells, guard.notes) == ({}, [])


@pytest.mark.parametrize(
    ("names", "expired", "known", "said"),
    [
        (("elsewhere.example",), False, True, "IP address mismatch"),
        (("127.0.0.1",), True, True, "certificate has expired"),
        (("127.0.0.1",), False, False, "unable to get local issuer certificate"),
    ],
)
def test_a_certificate_that_proves_nothing(
    start_peer: StartPeer, tmp_path: Path, names: tuple[str, ...], said: str, *, expired: bool, known: bool
) -> None:
    trusted, context = certificates.made(tmp_path, *names, expired=expired)
    server = start_peer(tls=context)
    more = {"ansible_winrm_ca_trust_path": str(trusted)} if known else {}
    guard = opened(over_https(server, **more))
    with pytest.raises(CertificateRefused, match=said) as caught:
        guard.exchange([Run(("true",))])
    assert "ansible_winrm_ca_trust_path" in caught.value.next_step
    assert server.counts["requests"] == 0  # no login went to the unknown server
    guard.close()


def test_ignoring_it_is_said_in_every_report(start_peer: StartPeer, tmp_path: Path) -> None:
    _, context = certificates.made(tmp_path, "elsewhere.example", expired=True)
    guard = opened(over_https(start_peer(tls=context), ansible_winrm_server_cert_validation="ignore"))
    (done,) = guard.exchange([Run(("true",))])
    assert isinstance(done, Completed)
    guard.close()
    assert "the certificate is not verified" in guard.notes[0]


def test_https_spoken_to_http(start_peer: StartPeer) -> None:
    guard = opened(over_https(start_peer()))
    with pytest.raises(Unreachable, match="is that port an HTTPS listener"):
        guard.exchange([Run(("true",))])
    guard.close()


def test_the_environment_s_proxies_and_bundles_are_not_used(
    start_peer: StartPeer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted, context = certificates.made(tmp_path, "127.0.0.1")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted))
    guard = opened(winrm_variables(start_peer()))
    assert isinstance(guard.exchange([Run(("true",))])[0], Completed)
    guard.close()
    guard = opened(over_https(start_peer(tls=context)))
    with pytest.raises(CertificateRefused):
        guard.exchange([Run(("true",))])
    guard.close()


def test_an_authority_s_file_that_is_not_there(start_peer: StartPeer, tmp_path: Path) -> None:
    _, context = certificates.made(tmp_path, "127.0.0.1")
    guard = opened(over_https(start_peer(tls=context), ansible_winrm_ca_trust_path=str(tmp_path / "none.pem")))
    with pytest.raises(Unreachable, match=r"file .*none\.pem does not exist"):
        guard.exchange([Run(("true",))])
    guard.close()
