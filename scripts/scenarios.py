"""Play the scenarios of a real server on the stand-in, and print them as a table: expected, got, test.

    python scripts/scenarios.py > docs/scenarios.md

It needs what `pytest -m live` needs: a Docker engine, sshd, sudo.
"""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree as ET

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.live.scenarios import ON_REAL, SCENARIOS, Scenario  # noqa: E402 - the tests are no installed package

HEAD = """# Scenarios

Scenarios that were played on a real Ollama server (v0.13.5), native (A) and in a Docker engine (B), and how `fix-offload` and the
runbooks end in them on the [stand-in](lab.md) and ended on that server. Each is a test. `python scripts/scenarios.py > docs/scenarios.md`
plays them on the stand-in and writes this page.

| scenario | expected | got on the stand-in | got on a real server | test |
|---|---|---|---|---|
"""


def main() -> int:
    """Run the tests and print the page; returns 1 if a scenario does not end as expected."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.xml"
        tests = sorted({f"tests/{one.test}" for one in SCENARIOS.values()})
        selected = " or ".join(
            {one.fault for one in SCENARIOS.values() if one.fault} | {_name(one) for one in SCENARIOS.values() if not one.fault}
        )
        words = ("-q", "-m", "every or not every", "-k", selected, f"--junitxml={report}", *tests)
        subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT, check=False, stdout=sys.stderr)
        ends = dict(_ends(report))
    got = {name: _got(one, ends) for name, one in SCENARIOS.items()}
    rows = [
        f"| {name} | {one.expected} | {got[name]} | {ON_REAL.get(_number(name), '')} | `tests/{one.test.partition('::')[0]}` |"
        for name, one in SCENARIOS.items()
    ]
    good = sum(end == "as expected" for end in got.values())
    print(HEAD + "\n".join(rows) + f"\n\n{good} of {len(got)} end as expected.")
    return 0 if good == len(got) else 1


def _number(name: str) -> str:
    """Return the number with which a scenario's name begins ("A4d, B13")."""
    found = re.match(r"[AB]\d+[a-z]?(?:, [AB]\d+)*", name)
    return found[0] if found else ""


def _name(one: Scenario) -> str:
    return one.test.partition("::")[2]


def _ends(report: pathlib.Path) -> Iterator[tuple[str, str]]:
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it
        path = str(case.get("classname")).replace(".", "/") + ".py"
        kinds = {child.tag for child in case}
        end = "failed" if kinds & {"failure", "error"} else "not played" if "skipped" in kinds else "as expected"
        yield f"{path}::{case.get('name')}", end


def _got(one: Scenario, ends: Mapping[str, str]) -> str:
    """Return the end of all tests of a scenario: the worst one."""
    found = [end for test, end in ends.items() if test.partition("[")[0] == f"tests/{one.test}" and one.fault in test]
    return next((end for end in ("failed", "not played", "as expected") if end in found), "not played")


if __name__ == "__main__":
    sys.exit(main())
