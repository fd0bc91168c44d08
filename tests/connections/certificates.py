"""Certificates of every kind that a host may show."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_USAGE = dict.fromkeys(
    (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
        "decipher_only",
    ),
    False,
) | {"key_cert_sign": True, "crl_sign": True}  # fmt: skip
_DAY = dt.timedelta(days=1)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def made(folder: Path, *names: str, expired: bool = False, own: bool = False) -> tuple[Path, ssl.SSLContext]:
    """Return the PEM file to trust and a server's context; with `own` the certificate vouches for itself."""
    now = dt.datetime.now(dt.timezone.utc)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    until = now - _DAY if expired else now + 30 * _DAY

    def base(subject: str, issuer: str, public: ec.EllipticCurvePublicKey, end: dt.datetime) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder().subject_name(_name(subject)).issuer_name(_name(issuer)).public_key(public)
            .serial_number(x509.random_serial_number()).not_valid_before(now - 60 * _DAY).not_valid_after(end)
        )  # fmt: skip

    identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    root = (
        base("Authority", "Authority", authority_key.public_key(), now + 30 * _DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.KeyUsage(**_USAGE), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    alternatives = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address(each)) if each[0].isdigit() else x509.DNSName(each) for each in names]
    )
    leaf = base("host", "host" if own else "Authority", key.public_key(), until).add_extension(alternatives, critical=False)
    if not own:
        leaf = leaf.add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    certificate = leaf.sign(key if own else authority_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    trusted, chain = folder / "authority.pem", folder / "host.pem"
    trusted.write_bytes((certificate if own else root).public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain.write_bytes(certificate.public_bytes(pem) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return trusted, context
