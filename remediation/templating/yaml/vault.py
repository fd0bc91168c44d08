"""Decrypts Ansible Vault: ``$ANSIBLE_VAULT;1.1;AES256`` and ``1.2`` with an id, as ``!vault`` values and as whole files.

Ansible's format: PBKDF2 (SHA-256, 10,000 rounds) derives the AES key, the HMAC key, and the counter of AES-CTR.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from remediation.model.errors import RemediationError
from remediation.templating.yaml.secret import Secret

HEADER = "$ANSIBLE_VAULT"
VERSIONS = ("1.1", "1.2")
CIPHER = "AES256"
DEFAULT_ID = "default"
NEXT = "give the vault's password: --vault-password-file FILE"

_ROUNDS = 10_000
_KEY = 32
_BLOCK = 16

Password = Callable[[], Secret]
"""Obtains a vault's password when the first value needs it. Raises `RemediationError`."""


class VaultError(RemediationError):
    """Encrypted text cannot be decrypted."""


@dataclass(slots=True)
class Vault:
    """Decrypts Ansible Vault texts. ``passwords`` are pairs of an id and a function that obtains its password.

    The password with a value's id is tried first, then the others in order, as in Ansible.
    """

    passwords: Sequence[tuple[str, Password]] = ()
    _known: dict[int, Secret] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self, text: str) -> str:
        """Return the plain text of `text`, which includes its header line. Raises `VaultError`."""
        sealed = _parse_vault_text(text)
        if not self.passwords:
            raise VaultError("encrypted by Ansible Vault, and no password is known", next_step=NEXT)
        numbered = list(enumerate(self.passwords))
        for index, (_, password) in sorted(numbered, key=lambda each: each[1][0] != sealed.label):
            plain = sealed.decrypt(self._password(index, password).reveal())
            if plain is not None:
                return plain
        named = f" (its id is {sealed.label!r})" if sealed.label != DEFAULT_ID else ""
        raise VaultError(f"none of the known vault passwords decrypts this{named}", next_step=NEXT)

    def _password(self, index: int, password: Password) -> Secret:
        with self._lock:  # a prompt appears once, even if several hosts need the password
            if index not in self._known:
                self._known[index] = password()
            return self._known[index]


@dataclass(frozen=True, slots=True)
class _VaultText:
    """One encrypted text, parsed."""

    label: str
    salt: bytes
    digest: bytes
    data: bytes

    def decrypt(self, password: str) -> str | None:
        """Return the plain text, None if the password is wrong. Raises `VaultError` if the content is not text."""
        from cryptography.hazmat.primitives import padding
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        derived = hashlib.pbkdf2_hmac("sha256", password.encode(), self.salt, _ROUNDS, 2 * _KEY + _BLOCK)
        key, signing, counter = derived[:_KEY], derived[_KEY : 2 * _KEY], derived[2 * _KEY :]
        if not hmac.compare_digest(hmac.new(signing, self.data, "sha256").digest(), self.digest):
            return None
        decryptor = Cipher(algorithms.AES(key), modes.CTR(counter)).decryptor()
        unpadder = padding.PKCS7(_BLOCK * 8).unpadder()
        try:
            plain = unpadder.update(decryptor.update(self.data) + decryptor.finalize()) + unpadder.finalize()
            return plain.decode()
        except UnicodeDecodeError:
            raise VaultError("the vault's content is not UTF-8 text") from None
        except ValueError:
            raise VaultError("the vault is damaged: its content is incomplete") from None


def is_vault(text: str) -> bool:
    """Return whether a text is encrypted by Ansible Vault."""
    return text.startswith(f"{HEADER};")


def _parse_vault_text(text: str) -> _VaultText:
    header, *lines = text.strip().splitlines() or [""]
    parts = [part.strip() for part in header.split(";")]
    if parts[0] != HEADER or len(parts) < len(("name", "version", "cipher")):
        raise VaultError(f"encrypted text must begin with {HEADER};1.1;{CIPHER}")
    if parts[1] not in VERSIONS or parts[2] != CIPHER:
        known = " and ".join(f"{version};{CIPHER}" for version in VERSIONS)
        raise VaultError(f"unsupported vault format {';'.join(parts[1:3])}; supported: {known}", next_step="encrypt it again")
    try:
        inner = binascii.unhexlify("".join(line.strip() for line in lines))
        salt, digest, data = (binascii.unhexlify(part) for part in inner.split(b"\n", 2))
    except (binascii.Error, ValueError):
        raise VaultError("the vault is damaged: the text after its header is incomplete or changed") from None
    return _VaultText(":".join(parts[3:]) or DEFAULT_ID, salt, digest, data)
