"""Certificates of the lab's HTTPS listeners: made for each lab, good ones and those that a client must refuse."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KINDS = ("good", "wrong-name", "expired", "unknown-ca", "self-signed")
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority of the lab."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def made(cls, name: str) -> Authority:
        """Make one."""
        key = ec.generate_private_key(ec.SECP256R1())
        who = _name(name)
        certificate = (
            _builder(who, who, key.public_key(), expired=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(key, certificate)

    def pem(self) -> bytes:
        """Return the certificate that clients trust."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str, alternatives: Sequence[str], *, expired: bool = False, client: bool = False) -> bytes:
        """Return a certificate and its key as PEM text."""
        key = ec.generate_private_key(ec.SECP256R1())
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = (
            _builder(_name(name), self.certificate.subject, key.public_key(), expired=expired)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if alternatives:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general(each) for each in alternatives]), critical=False
            )
        return _pem(builder.sign(self.key, hashes.SHA256()), key)


def listener(authority: Authority, kind: str, alternatives: Sequence[str]) -> bytes:
    """Return certificate and key, as PEM text, of a listener that is reached by these names; `kind` is one of KINDS."""
    names = list(alternatives)
    match kind:
        case "good":
            return authority.issue(names[0], names)
        case "wrong-name":
            return authority.issue("elsewhere.example", ["elsewhere.example"])
        case "expired":
            return authority.issue(names[0], names, expired=True)
        case "unknown-ca":
            return Authority.made("Another CA").issue(names[0], names)
        case "self-signed":
            key, who = ec.generate_private_key(ec.SECP256R1()), _name(names[0])
            builder = _builder(who, who, key.public_key(), expired=False).add_extension(
                x509.SubjectAlternativeName([_general(each) for each in names]), critical=False
            )
            return _pem(builder.sign(key, hashes.SHA256()), key)
        case _:
            raise ValueError(f"no kind of certificate {kind!r}: choose one of {', '.join(KINDS)}")


def context(pem: Path, clients: Path | None = None) -> ssl.SSLContext:
    """Return a server's TLS context; with `clients` it requests certificates of that authority, and they may be missing."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(pem)
    if clients is not None:
        made.load_verify_locations(clients)
        made.verify_mode = ssl.CERT_OPTIONAL
    return made


def save(path: Path, pem: bytes) -> Path:
    """Write a file that only its owner can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)
    return path


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _builder(who: x509.Name, by: x509.Name, key: ec.EllipticCurvePublicKey, *, expired: bool) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.timezone.utc)
    since, until = (now - 30 * _DAY, now - _DAY) if expired else (now - _DAY, now + 30 * _DAY)
    return (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(by)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
    )


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=sign, crl_sign=sign, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bytes:
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM) + secret
