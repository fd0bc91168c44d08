"""Files that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediation.model.private_file import write_atomically

resource = pytest.importorskip("resource")


@pytest.mark.parametrize("content", ["x" * 5000, b"PK" * 5000])
def test_a_file_that_cannot_be_written_whole_leaves_the_earlier_one(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "run.zip"
    path.write_bytes(b"earlier")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # as a full disk: the write fails in the middle
    try:
        with pytest.raises(OSError, match="File too large"):
            write_atomically(path, content)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [each.name for each in tmp_path.iterdir()] == ["run.zip"]
    assert path.read_bytes() == b"earlier"
    write_atomically(path, content)
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
