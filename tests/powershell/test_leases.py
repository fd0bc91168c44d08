"""Lease directories on Windows: made once, listed, removed, and what is refused has a reason."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from remediation.engine.lease.windows_store import WindowsLeases
from remediation.model.errors import CallFailed
from tests.powershell.windows import Windows, refused


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Windows]]:
    made = [Windows(tmp_path_factory.mktemp(name)) for name in ("one", "two")]
    yield made
    for each in made:
        each.close()


def test_of_two_that_make_a_directory_at_once_one_succeeds(hosts: list[Windows], tmp_path: Path) -> None:
    stores = [WindowsLeases(each.connection, str(tmp_path / "lease")) for each in hosts]
    with ThreadPoolExecutor(2) as pool:
        for number in range(1, 11):
            assert sorted(pool.map(lambda store, number=number: store.make(number), stores)) == [False, True]
    assert sorted(path.name for path in (tmp_path / "lease").iterdir()) == sorted(map(str, range(1, 11)))
    assert stores[0].newest().number == 10
    stores[0].clear(*range(1, 10))
    assert [path.name for path in (tmp_path / "lease").iterdir()] == ["10"]


def test_a_folder_that_may_not_be_listed_is_not_an_empty_one(hosts: list[Windows], tmp_path: Path) -> None:
    host, folder = hosts[0], tmp_path / "lease"
    store = WindowsLeases(host.connection, str(folder))
    assert store.newest().number == 0
    assert store.make(1)
    host.control([refused("System.IO.Directory::GetDirectories")])
    with pytest.raises(CallFailed, match=r"is unusable: .*denied"):
        store.newest()
    host.control([refused("System.IO.Directory::CreateDirectory")])
    with pytest.raises(CallFailed, match=r"cannot take a lease: .*denied"):
        store.make(2)
    host.control()
    assert not store.make(1)
    assert [path.name for path in folder.iterdir()] == ["1"]
