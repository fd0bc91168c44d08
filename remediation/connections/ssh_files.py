"""Files read over SSH by sftp, as the login."""

from __future__ import annotations

import paramiko

from remediation.connections.base import FileContent, ReadFile

_PREFETCH = 100_000


def read(sftp: paramiko.SFTPClient, call: ReadFile) -> FileContent:
    """Read a file or its end; raises OSError."""
    try:
        with sftp.open(call.path, "rb") as file:
            size = file.stat().st_size or 0
            start = max(0, size - call.limit) if call.tail else 0
            wanted = min(call.limit, size - start) if size else call.limit
            if size > _PREFETCH:
                file.prefetch(start + wanted)
            file.seek(start)
            content = file.read(wanted)
    except FileNotFoundError:
        return FileContent(missing=True)
    return FileContent(content, truncated=size > call.limit)
