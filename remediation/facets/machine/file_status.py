"""Parses what the ``status`` scripts say of a path."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from typing import Any

from remediation.model.facts import FileStatus

_BITS = {
    "wusr": stat.S_IWUSR, "rusr": stat.S_IRUSR, "xusr": stat.S_IXUSR, "wgrp": stat.S_IWGRP, "rgrp": stat.S_IRGRP, "xgrp": stat.S_IXGRP,
    "woth": stat.S_IWOTH, "roth": stat.S_IROTH, "xoth": stat.S_IXOTH, "isuid": stat.S_ISUID, "isgid": stat.S_ISGID,
}  # fmt: skip
_KINDS = {
    "isdir": stat.S_ISDIR, "ischr": stat.S_ISCHR, "isblk": stat.S_ISBLK, "isreg": stat.S_ISREG, "isfifo": stat.S_ISFIFO,
    "islnk": stat.S_ISLNK, "issock": stat.S_ISSOCK,
}  # fmt: skip
_ATTRIBUTES = {
    "A": "noatime", "a": "append", "c": "compressed", "C": "nocow", "d": "nodump", "D": "dirsync", "e": "extents", "E": "encrypted",
    "h": "blocksize", "i": "immutable", "I": "indexed", "j": "journalled", "N": "inline", "s": "zero", "S": "synchronous", "t": "notail",
    "T": "blockroot", "u": "undelete", "X": "compressedraw", "Z": "compresseddirty",
}  # fmt: skip
"""The flags of lsattr (chattr(1))."""


def posix_status(path: str, text: str) -> FileStatus:
    """Return the status of a path from the output of ``status.sh``."""
    head, *rest = text.split("\n")
    numbers = head.split("|")
    mode = int(numbers[0], 16)
    fields = {word: value for word, _, value in (line.partition(" ") for line in rest) if word}
    kind = "link" if stat.S_ISLNK(mode) else "directory" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"
    major, minor = int(numbers[12] or "0", 16), int(numbers[13] or "0", 16)
    details: dict[str, Any] = {
        "exists": True, "path": path, "mode": f"{stat.S_IMODE(mode):04o}", **{name: check(mode) for name, check in _KINDS.items()},
        "uid": int(numbers[1]), "gid": int(numbers[2]), "size": int(numbers[3]), "inode": int(numbers[4]), "dev": int(numbers[5]),
        "nlink": int(numbers[6]), "atime": float(numbers[7]), "mtime": float(numbers[8]), "ctime": float(numbers[9]),
        **{name: bool(mode & bit) for name, bit in _BITS.items()}, "blocks": int(numbers[10]), "block_size": int(numbers[11]),
        "device_type": (major << 8) | minor, "readable": "r" in fields.get("may", ""), "writeable": "w" in fields.get("may", ""),
        "executable": "x" in fields.get("may", ""),
    }  # fmt: skip
    owner, group = numbers[14], "|".join(numbers[15:])
    details |= {name: value for name, value in (("pw_name", owner), ("gr_name", group)) if value != "UNKNOWN"}
    if kind == "link":
        details |= {"lnk_source": fields.get("source", ""), "lnk_target": fields.get("target", "")}
    if fields.get("sum"):
        details["checksum"] = fields["sum"]
    details |= _describe_file(fields)
    return FileStatus(
        path, kind, int(numbers[3]), stat.S_IMODE(mode), owner, group, int(numbers[1]), int(numbers[2]), int(numbers[4]),
        fields.get("target", ""), fields.get("sum"), details,
    )  # fmt: skip


def _describe_file(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return a file's type and attributes."""
    found: dict[str, Any] = {}
    if "mime" in fields:
        kind, _, charset = fields["mime"].partition(";")
        found |= {"mimetype": kind.strip() or "unknown", "charset": charset.strip().removeprefix("charset=") or "unknown"}
    if "attr" in fields:
        words = fields["attr"].split()
        flags = words[1].replace("-", "") if len(words) > 1 else ""
        found |= {"attributes": [_ATTRIBUTES[flag] for flag in flags if flag in _ATTRIBUTES], "attr_flags": flags}
        found["version"] = words[0] if words else None
    return found


def windows_status(value: Mapping[str, Any]) -> FileStatus:
    """Return the status of a path from the value of the ``status`` probe."""
    folder, link = bool(value["Folder"]), bool(value["Link"])
    details: dict[str, Any] = {
        "exists": True, "path": str(value["Path"]), "filename": str(value["Name"]), "extension": str(value["Extension"]),
        "isdir": folder, "isreg": not folder, "islnk": link, "isjunction": bool(value["Junction"]), "isshared": False,
        "ishidden": bool(value["Hidden"]), "isarchive": bool(value["Archive"]), "isreadonly": bool(value["ReadOnly"]),
        "attributes": str(value["Attributes"]), "creationtime": value["Created"], "lastaccesstime": value["Accessed"],
        "lastwritetime": value["Written"], "owner": value["Owner"], "hlnk_targets": [], "nlink": 1,
        "lnk_source": value["Target"] if link else None, "lnk_target": value["Target"] if link else None,
    }  # fmt: skip
    size = int(value["Length"] or 0)
    details["size"] = size
    if value["Sum"] is not None:
        details["checksum"] = str(value["Sum"])
    kind = "link" if link else "directory" if folder else "file"
    return FileStatus(
        str(value["Path"]), kind, size, target=str(value["Target"] or ""), owner=str(value["Owner"] or ""), checksum=value["Sum"], details=details
    )  # fmt: skip
