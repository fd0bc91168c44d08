"""Messages as bytes. Only a parcel may carry secrets: it is never printed, logged or stored, and travels over TLS."""

from __future__ import annotations

import io
import pickle
from contextvars import ContextVar
from typing import Any

from remediation.model.errors import Place, RemediationError
from remediation.model.secrets.masking import Masker
from remediation.templating.yaml.secret import Secret

_masker: ContextVar[Masker] = ContextVar("masker")


class Parcel:
    """A packed message. Its text form shows nothing of it."""

    __slots__ = ("content",)

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __repr__(self) -> str:
        return f"<parcel of {len(self.content)} bytes>"


def _current_masker() -> Masker:
    """Return the receiver's masker: each side masks with what it knows."""
    return _masker.get()


class _Packer(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Secret):
            return Secret, (value.reveal(),)
        if isinstance(value, Masker):
            return _current_masker, ()
        return NotImplemented


def pack(message: object) -> Parcel:
    """Return a message as a parcel. Raises TypeError, AttributeError or `pickle.PicklingError` if it cannot be sent."""
    stream = io.BytesIO()
    _Packer(stream, pickle.HIGHEST_PROTOCOL).dump(message)
    return Parcel(stream.getvalue())


def unpack(parcel: Parcel, mask: Masker) -> Any:
    """Return the message of a parcel; `mask` takes the place of the sender's masker."""
    token = _masker.set(mask)
    try:
        return pickle.loads(parcel.content)  # noqa: S301 - the cluster's TLS proves who sent it, as for every Dask message
    finally:
        _masker.reset(token)


NOT_SENT = (TypeError, AttributeError, pickle.PicklingError, RecursionError)
"""What `pack` raises for a value that cannot be sent."""


class SentError:
    """An error on its way, with its texts masked: pickling an exception would call its class with the wrong arguments."""

    __slots__ = ("kind", "values")

    def __init__(self, error: RemediationError, mask: Masker) -> None:
        self.kind = type(error)
        kept = {name: value for name, value in vars(error).items() if isinstance(value, (str, int, tuple, Place, type(None)))}
        self.values = {name: mask.text(value) if isinstance(value, str) else value for name, value in kept.items()}

    def error(self) -> RemediationError:
        """Return the error."""
        found = self.kind.__new__(self.kind)
        found.__dict__.update(self.values)
        found.args = (found.message,)
        return found
