from __future__ import annotations

import pytest

from tests.support.requirements import missing, need_program


def test_a_missing_part_skips_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "false")
    with pytest.raises(pytest.skip.Exception, match="no program no-such-program: install some-package"):
        need_program("no-such-program", "some-package")


def test_where_everything_has_to_be_there_it_fails_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="CI=true: no engine"):
        missing("no engine")
