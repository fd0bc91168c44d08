"""From a file's bytes to its text: unpacked, in its encoding, and refused where it is no text."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from remediation.model.errors import UsageError

UNPACKED = 64_000_000
"""Read limit of a compressed file, unpacked."""

_GZIP = b"\x1f\x8b"
_PACKED: Mapping[bytes, Callable[[io.BytesIO], Any]] = {
    _GZIP: lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
_OTHERS: Mapping[bytes, tuple[str, str]] = {
    b"\x28\xb5\x2f\xfd": ("a zstd archive", "unpack it (zstd -d), and name the text in it"),
    b"PK\x03\x04": ("a zip archive", "unpack it, and name the text in it"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it, and name the text in it"),
    b"\x89PNG": ("a picture", "copy the text that it shows into a file, and name that"),
    b"\xff\xd8\xff": ("a picture", "copy the text that it shows into a file, and name that"),
    b"%PDF": ("a PDF document", "copy its text into a file, and name that"),
    b"\x7fELF": ("a program", "name the log, not the program"),
    b"MZ": ("a program", "name the log, not the program"),
    b"GGUF": ("a model file", "name the server's log, not the model"),
}
_SAMPLE = 65_536
_TEXT_CONTROLS = frozenset(b"\x00\t\n\r\x0b\x0c\x08\x1b")
_MOST_CONTROLS = 0.05
"""Bytes drawn at random have twice as many control characters, a log with a container engine's stream headers has fewer."""
_WIDE = 0.4
"""Share of NUL bytes at the even or odd places from which on a text is UTF-16 without its mark."""
_NEXT = "name a log or another text"


def is_packed(head: bytes) -> bool:
    """Whether a file that begins so is unpacked when it is read."""
    return head.startswith(tuple(_PACKED))


def decode_text(content: bytes, name: str) -> str:
    """Return a file's text: UTF-16 if it has a byte order mark or reads like it (PowerShell's ``>``), else UTF-8.

    Raises `UsageError` if the file is empty, damaged or no text. `name` is what the error calls it.
    """
    content = _unpack(content, name)
    if not content.strip(b" \t\r\n\x00\xef\xbb\xbf\xff\xfe"):
        raise UsageError(f"{name}: the file is empty", next_step="save the output again, and name that file")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    if (wide := _utf16_encoding(content[:_SAMPLE])) is not None:
        return content.decode(wide, errors="replace")
    refuse_bytes(content[:_SAMPLE], name)
    return content.decode("utf-8-sig", errors="replace").replace("\x00", "")  # blocks of NULs are left by a crash of the machine


def refuse_bytes(sample: bytes, name: str) -> None:
    """Raise `UsageError` if the beginning of a file shows that it is no text."""
    known = next((kind for magic, kind in _OTHERS.items() if sample.startswith(magic) and b"\x00" in sample[:64]), None)
    if known is None:
        known = next((kind for magic, kind in _OTHERS.items() if len(magic) > 2 and sample.startswith(magic)), None)
    if known is not None:
        raise UsageError(f"{name}: this is {known[0]}, not a text", next_step=known[1])
    nothing = sample.count(0)
    controls = sum(byte < 32 and byte not in _TEXT_CONTROLS for byte in sample)
    if controls > _MOST_CONTROLS * max(1, len(sample) - nothing):
        raise UsageError(f"{name}: these are bytes, not a text", next_step=_NEXT)


def _utf16_encoding(sample: bytes) -> str | None:
    """Return the UTF-16 encoding in which the sample is text of Latin letters, None where it is not."""
    pairs = len(sample) // 2
    if pairs and sample[1::2].count(0) >= _WIDE * pairs > sample[::2].count(0) * 4:
        return "utf-16-le"
    return "utf-16-be" if pairs and sample[::2].count(0) >= _WIDE * pairs > sample[1::2].count(0) * 4 else None


def _unpack(content: bytes, name: str) -> bytes:
    """Return the content, unpacked; of a gzip file that was cut off, what can be read."""
    opener = next((one for magic, one in _PACKED.items() if content.startswith(magic)), None)
    if opener is None:
        return content
    try:
        with opener(io.BytesIO(content)) as packed:
            return bytes(packed.read(UNPACKED))
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        whole = b""
        if content.startswith(_GZIP):
            try:
                whole = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(content, UNPACKED)
            except zlib.error:
                whole = b""
        if not whole:
            raise UsageError(
                f"{name}: the compressed file is damaged", next_step="compress it again, or name the text itself"
            ) from None
        return whole
