"""Who is let in, by which way to log in, over HTTP and HTTPS."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests
from winrm.exceptions import InvalidCredentialsError

from remediation_lab import control
from tests.lab.clients import client


@pytest.fixture(scope="module")
def https(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], control.Lab]:
    def start(kind: str) -> control.Lab:
        return control.start(folder, tls=kind, scale=100)

    folder = tmp_path_factory.mktemp("https")
    yield start
    control.stop(folder)


@pytest.mark.parametrize("kind", ["wrong-name", "expired", "unknown-ca", "self-signed"])
def test_a_bad_certificate_is_refused_by_a_client_that_looks(https: Callable[[str], control.Lab], kind: str) -> None:
    lab = https(kind)
    with pytest.raises(requests.exceptions.SSLError) as caught:
        client(lab, lab.hosts[0]).open_shell()
    words = {"wrong-name": "match", "expired": "expired", "unknown-ca": "unable to get local issuer", "self-signed": "self"}
    assert words[kind] in str(caught.value)
    known = control.status(lab.folder)
    assert known is not None
    assert "create" not in known[lab.hosts[0].name]["winrm"]


def test_over_https_each_way_to_log_in_works_and_a_wrong_one_does_not(https: Callable[[str], control.Lab]) -> None:
    lab = https("good")
    host = lab.hosts[0]
    pem = str(lab.certificate)
    for given in ({}, {"transport": "basic"}, {"transport": "certificate", "cert_pem": pem, "cert_key_pem": pem}):
        one = client(lab, host, **given)
        shell = one.open_shell()
        one.close_shell(shell)
    for given in ({"password": "x"}, {"transport": "basic", "password": "x"}):
        with pytest.raises(InvalidCredentialsError):
            client(lab, host, **given).open_shell()


def test_basic_without_tls_is_refused(lab: control.Lab) -> None:
    with pytest.raises(InvalidCredentialsError):
        client(lab, lab.hosts[0], transport="basic", ca_trust_path=None).open_shell()
