"""Writes the base64 lines of its stdin to a file and prints their SHA-256."""

from __future__ import annotations

import base64
import hashlib
import sys
from pathlib import Path

digest = hashlib.sha256()
with Path(sys.argv[1]).open("wb") as file:
    for line in sys.stdin.buffer:
        content = base64.b64decode(line)
        digest.update(content)
        file.write(content)
print(digest.hexdigest())
