"""Ansible Vault, read: ``$ANSIBLE_VAULT;1.1;AES256`` and ``1.2`` with an id, as ``!vault`` values and as whole files.

The format is Ansible's: PBKDF2 (SHA-256, 10,000 rounds) gives a key, a second one for the HMAC, and AES-CTR's counter.
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
"""Asks for a vault's password: once, when the first value wants it. Raises `RemediationError`."""


class VaultError(RemediationError):
    """Something encrypted that cannot be opened."""


@dataclass(slots=True)
class Vault:
    """Opens what Ansible Vault encrypted. ``passwords`` are pairs of an id and what asks for its password.

    The password whose id a value names is tried first, then the others in their order, as Ansible does.
    """

    passwords: Sequence[tuple[str, Password]] = ()
    _known: dict[int, Secret] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self, text: str) -> str:
        """Return what `text` (its header line included) holds; raises `VaultError`."""
        sealed = _parsed(text)
        if not self.passwords:
            raise VaultError("this is encrypted by Ansible Vault, and no password is known", next_step=NEXT)
        numbered = list(enumerate(self.passwords))
        for index, (_, ask) in sorted(numbered, key=lambda each: each[1][0] != sealed.label):
            plain = sealed.opened(self._password(index, ask).reveal())
            if plain is not None:
                return plain
        named = f" (its id is {sealed.label!r})" if sealed.label != DEFAULT_ID else ""
        raise VaultError(f"none of the known vault passwords opens this{named}", next_step=NEXT)

    def _password(self, index: int, ask: Password) -> Secret:
        with self._lock:  # a prompt appears once, however many hosts need the password at a time
            if index not in self._known:
                self._known[index] = ask()
            return self._known[index]


@dataclass(frozen=True, slots=True)
class _VaultText:
    """One encrypted text, taken apart."""

    label: str
    salt: bytes
    digest: bytes
    data: bytes

    def opened(self, password: str) -> str | None:
        """Return the text, None where the password is another one; raises `VaultError` for what is no text."""
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
            raise VaultError("what this vault holds is not UTF-8 text") from None
        except ValueError:
            raise VaultError("this vault is damaged: what it holds is incomplete") from None


def is_vault(text: str) -> bool:
    """Return whether a text is encrypted by Ansible Vault."""
    return text.startswith(f"{HEADER};")


def _parsed(text: str) -> _VaultText:
    header, *lines = text.strip().splitlines() or [""]
    parts = [part.strip() for part in header.split(";")]
    if parts[0] != HEADER or len(parts) < len(("name", "version", "cipher")):
        raise VaultError(f"an encrypted text begins with {HEADER};1.1;{CIPHER}")
    if parts[1] not in VERSIONS or parts[2] != CIPHER:
        known = " and ".join(f"{version};{CIPHER}" for version in VERSIONS)
        raise VaultError(f"this vault is of the form {';'.join(parts[1:3])}; {known} can be read", next_step="encrypt it again")
    try:
        inner = binascii.unhexlify("".join(line.strip() for line in lines))
        salt, digest, data = (binascii.unhexlify(part) for part in inner.split(b"\n", 2))
    except (binascii.Error, ValueError):
        raise VaultError("this vault is damaged: what follows its header is incomplete or changed") from None
    return _VaultText(":".join(parts[3:]) or DEFAULT_ID, salt, digest, data)
