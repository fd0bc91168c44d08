"""The table of what each probe makes of each call that goes wrong: the calls come from the syntax tree of what is sent.

A cell is one call of a script (a command on a line, or a static method of .NET) and one way in which it misbehaves. `Scene` says how
the product asks the probe; the product's own code reads the answer. A new call in a script is a new row without a new test; a call
that no scene reaches, or a command that the stand-in does not have, is an error here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from remediation.connections.calls import Call, Failed, Probe, ProbeReply, Reply, Run
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import HostError
from tests.facets.powershell import below, parse, text
from tests.powershell.windows import SMI, Windows, disturbance, played

# Commands of the language: they touch nothing but their arguments. A type is added once in a process; test_server.py refuses that.
PURE = {
    "Add-Member", "Add-Type", "ConvertFrom-Json", "ConvertTo-Json", "ForEach-Object", "Import-Module", "Initialize-Windows", "Measure-Object", "New-TimeSpan",
    "Select-Object", "Send-Chunk", "Sort-Object", "Start-Sleep", "Where-Object", "Write-Output",
}  # fmt: skip
# Types that New-Object makes from their arguments alone.
_PLAIN = re.compile(r"(?i)^New-Object\s+(-TypeName\s+)?'?(System\.)?(Collections|Text|byte|TimeoutException|Threading|StandIn)\b")
_PLAIN_IO = re.compile(
    r"(?i)^New-Object\s+(IO\.MemoryStream|IO\.InvalidDataException|Diagnostics\.ProcessStartInfo|Diagnostics\.Process\b)"
)
_PASS = re.compile(r"\[StandIn\.State\]::Pass\(\[([\w.]+)\], \{(\w+)\}, \{(L\d+;)\}\)")
BEHAVIOURS = ("refused", "null", "empty", "one", "many", "slow", "vanishing")
_ONLY = {
    # what it returns is its argument; 5.1 refuses where a drive is missing
    "Join-Path": ("refused",),
    "New-Object": ("refused", "vanishing"),
    "Test-Path": ("refused", "null", "empty", "slow", "vanishing"),
}
_STATIC = ("refused", "slow", "vanishing")
_LIMITED = {"Get-CimInstance", "Get-CimClass", "Invoke-CimMethod"}
"""Commands that can be given a limit. They hang when they are slow; all others take some seconds."""
_HANGS, _SLOW = 600.0, 3.0
_REMOVES = re.compile(r"^Unregister-|::Delete$")
"""Where these fail, something stays; the answer names it."""


@dataclass(frozen=True)
class Site:
    """One call in a script: `command` and a part of the `line` that it is called from."""

    command: str
    line: str
    static: bool = False

    def __str__(self) -> str:
        return f"{self.command} in `{self.line[:90]}`"

    def behaviours(self) -> Sequence[str]:
        """Return in which ways this call is disturbed."""
        return _STATIC if self.static else _ONLY.get(self.command, BEHAVIOURS)

    def reached(self, calls: Sequence[str]) -> bool:
        """Return whether it is among the calls that a stand-in noted."""
        for call in calls:
            command, _, line = call.split("\t", 2)
            if command == self.command and self.line in line:
                return True
        return False


def sites(name: str) -> list[Site]:
    """Return the calls of a probe, as they stand in what is sent."""
    whole = played(name)
    root = parse(whole)
    own = {text(each) for each in below(root, "function_name")}
    lines = whole.split("\n")
    found: dict[Site, None] = {}
    for node in below(root, "command"):
        head = next((child for child in node.children if child.type == "command_name"), None)
        if head is None:
            continue  # & $block
        command, said = text(head), text(node)
        if "-" not in command or command in own or command in PURE or _PLAIN.match(said) or _PLAIN_IO.match(said):
            continue
        found[Site(command, lines[node.start_point[0]].strip())] = None
    for kind, method, line in _PASS.findall(whole):
        whole = kind if kind.startswith("Remediation.") else f"System.{kind.removeprefix('System.')}"
        found[Site(f"{whole}::{method}", line, static=True)] = None
    return list(found)


@dataclass
class Scene:
    """One way in which the product asks a probe; ``also`` is disturbed in each of its runs."""

    name: str
    ask: Callable[[Snapshot], object]
    prepare: Callable[[Windows], object] = lambda _: None
    also: Sequence[Mapping[str, Any]] = ()


@dataclass
class Asked:
    """What became of one run of a scene."""

    replies: list[Reply] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    raised: BaseException | None = None

    @property
    def value(self) -> Any:
        """Return the probe's first answer; None where it has none."""
        reply = self.replies[0] if self.replies else None
        return reply.value if isinstance(reply, ProbeReply) else None

    def started(self, program: str) -> bool:
        """Return whether the script started a program of this name."""
        return any(program in call for state in self.states for call in state["calls"]) and any(
            call.startswith("System.Diagnostics.Process::Start") for state in self.states for call in state["calls"]
        )


class Watched:
    """The stand-in as a connection that notes what the probe under test said and left."""

    def __init__(self, host: Windows, script: str, disturbed: Sequence[Mapping[str, Any]] = ()) -> None:
        self.host, self.platform, self.round_trips = "here", "windows", 0
        self.asked = Asked()
        self._windows, self._script, self._disturbed = host, script, disturbed

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        return [self._one(call) for call in calls]

    def close(self) -> None:
        """It opens no file."""

    def _one(self, call: Call) -> Reply:
        if isinstance(call, Run):
            return Failed("not-found", f"there is no {call.argv[0]}")
        if not isinstance(call, Probe) or call.name != self._script:
            self._windows.control()
            return self._windows.connection.exchange([call])[0]
        self._windows.control(self._disturbed)
        (reply,) = self._windows.connection.exchange([call])
        self.asked.replies.append(reply)
        self.asked.states.append({**self._windows.state(), "files": [path.name for path in self._windows.left()]})
        self.asked.limits.append(call.timeout)
        return reply


def run(
    host: Windows, script: str, scene: Scene, disturbed: Sequence[Mapping[str, Any]] = (), *, program: Program | None = None
) -> Asked:
    """Let the product ask, in a world that is whole again but for what is disturbed and for one program."""
    host.restore()
    scene.prepare(host)
    if program is not None:
        host.world["rate"] = program.rate
        place = host.system / "System32" / program.name
        place.unlink(missing_ok=True)
        host.program(place, program.text)
        place.chmod(program.mode)
    connection = Watched(host, script, [*disturbed, *scene.also])
    try:
        scene.ask(Snapshot(lambda: connection))
    except Exception as error:
        connection.asked.raised = error
    return connection.asked


@dataclass(frozen=True)
class Program:
    """A program of Windows that misbehaves; ``rate`` is how much faster the script's stopwatch runs meanwhile."""

    name: str
    how: str
    text: str
    rate: float = 1.0
    mode: int = 0o755

    def __str__(self) -> str:
        return f"the program {self.name}"


_CARDS = "for card in 0 1 2; do line; done"
_HELD = 7.0


def programs(script: str) -> Iterator[Program]:
    """Return the ways in which the programs that a script names misbehave."""
    whole = played(script)
    for name, usual in (("nvidia-smi.exe", SMI), ("taskkill.exe", "#!/bin/sh\n")):
        if name not in whole:
            continue
        yield Program(name, "refused", usual, mode=0o644)
        yield Program(name, "failing", "#!/bin/sh\necho 'No devices were found' >&2\nexit 6\n")
        yield Program(name, "empty", "#!/bin/sh\n")
        yield Program(name, "null", usual.replace("line\nwhile", "echo '[N/A]'\nwhile"))
        yield Program(name, "many", usual.replace("line\nwhile", f"{_CARDS}\nwhile"))
        yield Program(
            name, "loud", f"{usual}head -c 3000000 /dev/zero | tr '\\0' x\nhead -c 3000000 /dev/zero | tr '\\0' x >&2\n"
        )
        yield Program(name, "slow", "#!/bin/sh\nexec sleep 600\n", rate=20.0)
        yield Program(name, "held", usual.replace("#!/bin/sh\n", f"#!/bin/sh\nsleep {_HELD} &\n"), rate=20.0)
        yield Program(name, "vanishing", usual.replace("#!/bin/sh\n", '#!/bin/sh\nrm "$0"\n'))


def children(root: Path) -> list[str]:
    """Return the programs started by a stand-in's PowerShell that still run; a program that was ended has a second to exit."""
    for _ in range(20):
        if not (found := _running(root)):
            break
        time.sleep(0.1)
    return found


def _running(root: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            ours = f"REMEDIATION_WINDOWS={root}/".encode() in (process / "environ").read_bytes()
        except OSError:
            continue
        if ours and words[0] and not any(b"pwsh" in word for word in words) and str(_HELD).encode() not in words:
            found.append(b" ".join(words).decode(errors="replace"))
    return found


def cells(site: Site, only: int | None = None) -> Iterator[dict[str, Any]]:
    """Return the disturbances of one call; with ``only``, the refusal and the one of the others that has this number, in turn."""
    first, *others = site.behaviours()
    for how in (first, *(others if only is None or not others else [others[only % len(others)]])):
        seconds = _HANGS if site.command in _LIMITED else _SLOW
        yield disturbance(how, site.command, line=site.line, Seconds=seconds)


@dataclass
class Counts:
    """The result for one script."""

    cells: int = 0
    full: int = 0
    partial: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, now: Asked, new: set[str], wrong: Sequence[str]) -> None:
        """Count one cell."""
        self.cells += 1
        self.faults += wrong
        if now.value is None or (isinstance(now.raised, HostError) and not now.replies):
            self.refused += 1
        elif new or (isinstance(now.value, dict) and (now.value.get("Problems") or now.value.get("error"))):
            self.partial += 1
        else:
            self.full += 1

    def __str__(self) -> str:
        return f"{self.cells} cells: {self.full} full answers, {self.partial} partial, {self.refused} refused, {len(self.faults)} faults"


@dataclass(frozen=True)
class Rules:
    """What is right for one script.

    ``varies``: keys that differ from run to run; of them it counts only whether there is something. ``reasons``: keys of the answer that
    hold a reason or an outcome. ``covers``: the part, or parts, whose reason is also that of another part. ``elsewhere``: a part or a
    command for which another source stands in, and which. ``whole``: what makes the whole answer
    fail, with the cause. ``action``: the answer is about one action, so that one reason is enough for all of it. ``instead``: a key that
    an answer consists of where the one thing failed that the probe is for. ``alone``: the whole answer where nothing could be tried.
    """

    varies: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    covers: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    whole: Mapping[str, str] = field(default_factory=dict)
    action: bool = False
    instead: str = ""
    alone: Mapping[str, Any] | None = None


def faults(rules: Rules, usual: Asked, now: Asked, cell: Mapping[str, Any]) -> Iterator[str]:
    """Return what is wrong with an answer under a disturbance."""
    if now.raised is not None and not isinstance(now.raised, HostError):
        yield f"its reader raised {now.raised!r}"
    if not now.replies:
        yield f"it did not answer: {now.raised}"
    for reply, state, limit in zip(now.replies, now.states, now.limits, strict=True):
        if isinstance(reply, Failed) and not any(part in f"{cell['Command']} {cell['Line']}" for part in rules.whole):
            yield f"it failed: {reply.message}"
        said = str(reply.value) if _REMOVES.search(str(cell["Command"])) and isinstance(reply, ProbeReply) else ""
        yield from (f"it left {each}" for each in (*state["tasks"], *state["files"]) if each not in said)
        if state["waited"] > limit:
            yield f"it waited {state['waited']:.0f} s, its limit is {limit:.0f} s"
    yield from _parts(rules, usual, now, str(cell["How"]), str(cell["Command"]))


def _parts(rules: Rules, usual: Asked, now: Asked, how: str, command: str) -> Iterator[str]:
    before, value = usual.value, now.value
    if isinstance(value, dict) and isinstance(before, dict):
        if (rules.instead and value.get(rules.instead)) or value == rules.alone:
            return
        if missing := before.keys() - value.keys():
            yield f"the answer has no {', '.join(sorted(missing))}"
        if how == "refused" and command not in rules.elsewhere:
            yield from _without_reason(rules, before, value, changed(rules, usual, now) - rules.elsewhere.keys())
    elif type(value) is not type(before) and now.replies and isinstance(now.replies[0], ProbeReply):
        yield f"the answer was {before!r:.60} and is {value!r:.60}"


def explained(now: Asked) -> set[str]:
    """Return the parts of which an answer says why they are missing."""
    return set(now.value.get("Problems") or ()) if isinstance(now.value, dict) else set()


def _without_reason(rules: Rules, before: Mapping[str, Any], value: Mapping[str, Any], parts: set[str]) -> Iterator[str]:
    reasons = {key for key in rules.reasons if value.get(key)} | (value.get("Problems") or {}).keys()
    if rules.action and reasons:
        return
    for key in sorted(parts - reasons):
        covers = rules.covers.get(key, ())
        if not reasons & ({covers} if isinstance(covers, str) else set(covers)):
            yield f"{key} was {before[key]!r:.60} and is {value.get(key)!r:.60} without a reason"


def changed(rules: Rules, usual: Asked, now: Asked) -> set[str]:
    """Return the parts of an answer that differ from those of the usual run."""
    before, value = usual.value, now.value
    if not isinstance(before, dict) or not isinstance(value, dict):
        return set()
    keys = before.keys() - rules.reasons - {"Problems"}
    return {key for key in keys if _seen(rules, key, before[key]) != _seen(rules, key, value.get(key))}


def _seen(rules: Rules, key: str, value: Any) -> Any:
    return value not in (None, [], "") if key in rules.varies else value


def table(host: Windows, script: str, scenes: Sequence[Scene], rules: Rules, *, every: bool) -> Counts:
    """Run every cell of one script, or a sample: all programs, and all calls refused and in one more way, which changes from call to call."""
    counts = Counts()
    usual: dict[str, Asked] = {}
    for scene in scenes:
        usual[scene.name] = again = run(host, script, scene)
        wrong = [reply for reply in again.replies if isinstance(reply, Failed)]
        if wrong or not again.replies or not isinstance(again.raised, HostError | None):
            counts.faults.append(f"{scene.name}, nothing disturbed: {wrong or again.raised}")
    for number, site in enumerate(sites(script)):
        scene = next((each for each in scenes if any(site.reached(state["calls"]) for state in usual[each.name].states)), None)
        if scene is None:
            counts.faults.append(f"{site}: no scene reaches this call")
            continue
        depends: set[str] | None = None
        for cell in cells(site, None if every else number):
            now = run(host, script, scene, [cell])
            found = list(faults(rules, usual[scene.name], now, cell))
            new = changed(rules, usual[scene.name], now)
            if cell["How"] == "refused":
                depends = None if now.value is None else new
            elif (
                cell["How"] in {"null", "empty", "one", "many"}
                and depends is not None
                and not rules.action
                and (stray := new - depends - explained(now))
            ):
                found.append(f"{', '.join(sorted(stray))} changed, and did not when it was refused")
            counts.add(now, new, [f"{scene.name}: {site}: {cell['How']}: {each}" for each in found])
    for program in programs(script):
        scene = next((each for each in scenes if usual[each.name].started(program.name)), scenes[0])
        now = run(host, script, scene, program=program)
        found = list(faults(rules, usual[scene.name], now, {"How": program.how, "Command": program.name, "Line": ""}))
        found += [f"it left {each} running" for each in children(host.root)]
        counts.add(
            now, changed(rules, usual[scene.name], now), [f"{scene.name}: {program}: {program.how}: {each}" for each in found]
        )
    return counts
