"""Statements recognised by concepts that occur near each other in a sentence, in any order.

`words` holds unambiguous phrases. The same statement has many wordings, so here it is a set of concepts:
"the card" and "not" and "use" within a few words. A word that inverts the meaning rejects the match.
"""

# one concept or statement a line, so that they can be read as a table
# fmt: off

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

_BEFORE = 3
"""Number of words before a statement that are also searched for a word that inverts it."""
_LONGEST = 200_000
"""Longer texts are not treated as a person's report."""

CONCEPTS: Mapping[str, str] = {
    "gpu": r"e?i?gpus?|d?gpu'?s|graphics?|cards?|arc|iris|cuda|rocm|geforce|rtx-?\w*|gtx-?\w*|radeon|nvidia|quadro|tesla|[1-5]0[5-9]0(?:ti|s|m)?",
    "vram": r"vram|gpu-memory|video-memory",
    "cpu": r"cpus?|processors?|ram",
    "not": r"not|no|never|without|cannot|unable|fail\w*|refus\w*|none|nothing|\w{1,64}n'?t|neither|stop(?:s|ped)|cease\w*|why|instead",
    "use": r"us(?:e|es|ed|ing|age)|utili[sz]\w*|detect\w*|recogni[sz]\w*|find|finds|found|see|sees|seen|pick\w*|advantage|leverag\w*|accelerat\w*|offload\w*|touch\w*",
    "idle": r"unused|idl\w+|ignor(?:e|es|ed|ing)|untouched|empty|cold|nothing|0%",
    "only": r"only|solely|purely|just|exclusively|entirely|always|default\w*|fall\w*|fell|fallback|revert\w*|stuck|limited",
    "update": r"updat\w*|upgrad\w*|auto-?updat\w*",
    "since": r"since|after|ever|before|until|till|prior|now|anymore|longer|when|once|following|previously|last|older|newer|latest|broke\w*|problems?|trouble",
    "release": r"v?0\.\d{1,2}\.\d{1,2}(?:-?rc\d)?,?|v?0\.\d{1,2},?",
    "verdict": r"ok|okay|fine|work\w*|broke\w*|isn'?t|doesn'?t|fast|slow\w*|fails?|gpu|cpu|good|bad|needed|needs|took|takes",
    "sleep": r"asleep|sleep(?:s|ing)?|slept|suspend\w*|hibernat\w*|standby|resum\w*|wak\w+|woke\w*",
    "after": r"after|once|since|when\w*|from|out|been|was|were|went|goes|over|cycle\w*|comes?|came|until|overnight|following|through",
    "lose": r"stop(?:s|ped)?|revert\w*|los(?:e|es|t|ing)|disappear\w*|vanish\w*|gone|missing|fails?|unknown|errors?|unavailable|inaccessible|isn'?t|can'?t|cannot|no",
    "late": r"extended|later|hours?|days?|morning|overnight|random\w*|eventually|sometimes|minutes|weeks?|periodically|occasionally|sporadic\w*|intermittent\w*",
    "reboot": r"reboot\w*|boots?|booted|booting|power-?cycl\w*",
    "bad": r"los\w+|missing|kills?|gone|no|not|isn'?t|breaks?|broke\w*|fails?|disappear\w*|vanish\w*|cannot|can'?t|without",
    "some": r"some|part|parts|partly|partially|half|thirds?|quarter|rest|most|remaining|split\w*",
    "layers": r"layers?|model|weights|it",
    "split": r"split\w*|divid\w*|shared|spread\w*",
    "full": r"all|fully|completely|entirely|whole|100%?|entire",
    "before": r"before|previously|formerly|earlier|originally|prior",
    "load": r"load|loads|loaded|loading",
    "long": r"minutes?|ages|slow\w*|long\w*|forever|eternity|hours?",
    "reload": r"reload\w*|re-load\w*",
    "again": r"again|anew",
    "each": r"each|every|whenever|per|constantly|between|repeatedly|any",
    "pause": r"idle|inactiv\w*|unused|pause|nobody|break|untouched|interaction|activity",
    "unload": r"unload\w*|releas\w*|freed|evict\w*|exits?",
    "next": r"first|next|following|again|subsequent",
    "line": r"cli|terminal|curl|console|shell|powershell|command-?line|ollama-run",
    "good": r"fast|works?|great|fine|gpu|quick\w*|good|instant\w*",
    "slow": r"slow\w*|cpu|ram|sluggish|crawl\w*",
    "always": r"always|still|despite|although|though|ignor\w*|insist\w*|regardless|keeps?|whatever|wrong",
    "which": r"0|first|wrong|other|same|second|gpu0|cuda0|all|both",
    "machine": r"machine|server|host|laptop|notebook|pc|computer|vm|vps|node|instance|box|i|we",
    "have": r"have|has|had|having|on|with|without|in|lacks?|there",
    "no": r"no|without|\w{1,64}n'?t|lacks?|not|any",
    "smi": r"nvidia-smi",
    "host": r"host|outside|hypervisor",
    "fine": r"ok|okay|fine|works?|working|shows?|lists?|expected|correct\w*|sees|normal\w*|good",
    "embed": r"embed\w*|rerank\w*|nomic\S*|bge\S*",
    "evict": r"evict\w*|moved?|moves|unload\w*|kick\w*|push\w*|alternat\w*|swap\w*|both|displac\w*",
    "spare": r"free|unused|available|left|empty|isn'?t|not|unallocated",
    "context": r"context|num_ctx|ctx|context-length|context_length",
    "bigger": r"above|greater|larger|bigger|longer|increas\w*|rais\w*|over|beyond|exceed\w*|bump\w*|high\w*|max\w*|full|\d{2,3}k|1[6-9]\d{3}|[2-9]\d{4}|\d{6}",
    "spill": r"cpu|ram|split\w*|spill\w*|offload\w*|slow\w*|oom|vram",
    "rule": r"default\w*|rule|picks?|picked|based|depend\w*|auto\w*|tier\w*|chooses?|new",
    "amount": r"\d{1,3}(?:\.\d)?gi?b|gi?b|vram|memory",
    "share": r"half|portion|lots?|plenty|rest|significant|much",
    "kept": r"unused|used|free|empty",
    "offload": r"offload\w*|spills?|spilled|pushed|moved",
    "part": r"only|just|not|isn'?t|never|half|merely|leaves?|leaving|remains?|stays?",
}
_DONE = r"help\w*|fix\w*|solv\w*|cur(?:e|es|ed)|resolv\w*|did"
_PARTLY = r"all|fully|completely|entirely|whole|second|other|another|both|wrong|correct\w*|memory|vram|gi?b|enough|layers?|lacks|errors?"


class Statement(NamedTuple):
    """Concepts within a number of words, and the words that must not occur among them."""

    concepts: tuple[str, ...]
    span: int
    unless: str = ""
    beyond: int = 1
    """So many words after the statement are searched for a word that inverts it."""


STATEMENTS: Mapping[str, tuple[Statement, ...]] = {
    "reported.on_cpu": (Statement(("gpu", "not", "use"), 8, f"{_PARTLY}|hosts?|exceeds?|above|over|reach\\w*|more|\\d\\d%?"), Statement(("cpu", "only"), 4, "and|but|layers?|memory|some|part\\w*|limit\\w*|gi?b"), Statement(("gpu", "idle"), 4, _PARTLY), Statement(("offload", "cpu"), 5, "partly|partially|some|half|layers?|rest|part|not|never|without")),
    "reported.updated": (Statement(("update", "since"), 8, "windows|driver\\w*|docker|desktop|kernel|toolkit", 4), Statement(("release", "since", "verdict"), 9), Statement(("update", "bad"), 6, "windows|driver\\w*|docker|desktop|kernel|toolkit", 4)),
    "reported.slept": (Statement(("sleep", "after"), 7, "download\\w*|time\\.sleep\\S*|pull\\w*"),),
    "reported.after_while": (Statement(("gpu", "lose", "late"), 12, "load\\w*|answers?|pull\\w*"), Statement(("smi", "lose", "late"), 12)),
    "reported.after_reboot": (Statement(("reboot", "bad"), 8, f"{_DONE}|until"),),
    "reported.split": (Statement(("some", "layers", "cpu"), 9, "whole|none|days?|hours?|minutes?|weeks?|time|while|later|core|thread"), Statement(("split", "cpu", "gpu"), 7)),
    "reported.more_before": (Statement(("before", "full", "gpu"), 10, "load|can|could|be|memory"),),
    "reported.loads_slowly": (Statement(("load", "long"), 7, "no|unloaded|keep\\S*|alive|unload\\w*|stay\\w*|remain\\w*|after|ago|from|fits?|enough|every|each"),),
    "reported.reloads": (Statement(("reload", "each"), 8, "fix\\w*|systemd|daemon\\S*"), Statement(("load", "again", "each"), 10), Statement(("load", "each", "again"), 12)),
    "reported.pause": (Statement(("pause", "next", "long"), 14, "gpu|card"), Statement(("pause", "unload"), 12)),
    "reported.one_client": (Statement(("line", "good", "slow"), 14, "both|neither"),),
    "reported.wrong_card": (Statement(("always", "gpu", "which", "use"), 10, "cpu|layers?"), Statement(("always", "which", "gpu", "load"), 10, "cpu|layers?")),
    "reported.no_gpu": (Statement(("machine", "have", "no", "gpu"), 6, "us\\w+|detect\\w*|find|found|sees?|access\\w*|containers?|drivers?|support\\w*|work\\w*|longer|recogni\\w*|load\\w*|memory|working|after|show\\w*|luck|more|pods?|jobs?|workloads?"),),
    "reported.works_on_host": (Statement(("smi", "host", "fine"), 10, "not|n't|fails?"),),
    "reported.gpu_idle": (Statement(("gpu", "idle"), 5, "memory|errors?"),),
    "reported.other_models": (Statement(("embed", "evict"), 12),),
    "reported.context": (Statement(("context", "bigger", "spill"), 18, "file|files|want|like|how|support\\w*"),),
    "reported.default_context": (Statement(("context", "rule", "vram"), 10, "how"),),
    "reported.unused": (Statement(("vram", "spare", "part"), 8, "enough|insufficient|more|layers?"), Statement(("amount", "share", "kept"), 10, "other|others|browsers?|desktop|another|programs?|by")),
}
_TOKEN = re.compile(r"[\w][\w.%'/:+-]*")
_BREAK = re.compile(r"[.!?;]\s|\n")
_PATTERNS = {name: re.compile(f"(?:{pattern})", re.IGNORECASE) for name, pattern in CONCEPTS.items()}
_TURNS = {statement.unless: re.compile(f"(?:{statement.unless})", re.IGNORECASE) for group in STATEMENTS.values() for statement in group}


def statements(text: str) -> Iterator[tuple[str, str]]:
    """Yield each statement of `text` once: its fact and its words."""
    found = set[str]()
    for sentence in _BREAK.split(text.replace("\u2019", "'").replace("ollama run", "ollama-run")) if len(text) < _LONGEST else ():
        tokens = [token.rstrip(".:,'") for token in _TOKEN.findall(sentence)]
        held: dict[str, list[int]] = {}
        for at, token in enumerate(tokens):
            for name in _concepts(token):
                held.setdefault(name, []).append(at)
        for name, statements in STATEMENTS.items():
            if name in found:
                continue
            window = next((one for statement in statements if (one := _window(statement, tokens, held)) is not None), None)
            if window is not None:
                found.add(name)
                yield name, " ".join(tokens[window.start : window.stop])


@lru_cache(maxsize=8192)
def _concepts(token: str) -> tuple[str, ...]:
    """Return the concepts that a word may mean; cached, because words repeat."""
    return tuple(name for name, pattern in _PATTERNS.items() if pattern.fullmatch(token))


def _window(statement: Statement, tokens: list[str], held: Mapping[str, list[int]]) -> range | None:
    """Return the first window in which different words have all concepts and no word inverts the meaning."""
    spots = [held.get(name, []) for name in statement.concepts]
    if not all(spots):
        return None
    for first in sorted(set(spots[0])):
        near = [group[bisect_left(group, first - statement.span + 1) : bisect_right(group, first + statement.span - 1)] for group in spots[1:]]
        chosen = {first}
        for group in near:
            at = min((one for one in group if one not in chosen), key=lambda one: abs(one - first), default=None)
            if at is None:
                break
            chosen.add(at)
        else:
            window = range(min(chosen), max(chosen) + 1)
            around = tokens[max(0, window.start - _BEFORE) : window.stop + statement.beyond]
            if len(window) <= statement.span and not (statement.unless and any(_TURNS[statement.unless].fullmatch(one) for one in around)):
                return window
    return None
