"""Masks secrets in the source text of a user's file, located by position and not by value.

A value may be quoted, escaped, folded or spread over several lines, so that its source text differs from the secret. YAML's
marks show where each value begins and ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from remediation.model.secrets.masking import Masker
from remediation.model.secrets.names import MASK, sounds_secret
from remediation.templating.yaml.located import looks_like_template
from remediation.templating.yaml.vault import is_vault

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ENCRYPTED = frozenset({"!vault", "!vault-encrypted"})
_NAME = r"[\w.-]{0,100}(?:pass|passwd|password|passphrase|secret|token|key|credentials?)"
_LINE = re.compile(rf"^(?P<kept>[ \t]{{0,200}}(?:export )?[\"']?{_NAME}[\"']?[ \t]{{0,20}}[=:][ \t]{{0,20}})(?P<hidden>\S.*)$",
                   re.IGNORECASE | re.MULTILINE)  # fmt: skip
"""A setting under a secret name in a file that is not YAML (``.env``, INI, or invalid YAML)."""


def masked_source(text: str, mask: Masker) -> str:
    """Return a file's text with the values under secret names, and the secrets known to `mask`, masked; encrypted text stays."""
    if is_vault(text):
        return text
    try:
        spans = sorted(set(_secret_spans(text, mask)))
    except (yaml.YAMLError, RecursionError, ValueError):
        return mask.text(_LINE.sub(_mask_line, text))
    kept: list[str] = []
    end = 0
    for start, stop in spans:
        if start >= end:
            kept += (text[end:start], f'"{MASK}"')
            end = stop
    return mask.text("".join((*kept, text[end:])))  # comments may repeat secrets


def _mask_line(match: re.Match[str]) -> str:
    hidden = match["hidden"]
    return (
        match[0] if looks_like_template(hidden) or hidden.startswith(("$ANSIBLE_VAULT", "!vault")) else f"{match['kept']}{MASK}"
    )


def _secret_spans(text: str, mask: Masker) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each value to mask."""
    starts = {end: start for start, end in _scalars(text)}
    for document in yaml.compose_all(text, Loader=_LOADER):
        if isinstance(document, yaml.ScalarNode):
            raise yaml.YAMLError("no settings")  # lines of NAME=VALUE are one scalar in YAML
        for node in _secret_nodes(document, mask):
            stop = node.end_mark.index
            start = starts.get(stop, node.start_mark.index)
            written = text[start:stop]
            yield start, stop - (len(written) - len(written.rstrip()))


def _scalars(text: str) -> Iterator[tuple[int, int]]:
    # the mark of a node includes its anchor and tag, that of a token does not
    for token in yaml.scan(text, Loader=_LOADER):
        if isinstance(token, yaml.ScalarToken):
            yield token.start_mark.index, token.end_mark.index


def _secret_nodes(document: yaml.Node | None, mask: Masker) -> Iterator[yaml.ScalarNode]:
    waiting: list[tuple[yaml.Node, bool]] = [] if document is None else [(document, False)]
    seen: set[tuple[int, bool]] = set()
    while waiting:
        node, named = waiting.pop()
        if (id(node), named) in seen:
            continue
        seen.add((id(node), named))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                secret = named or (isinstance(key, yaml.ScalarNode) and sounds_secret(str(key.value)))
                waiting += [(key, False), (value, secret)]
        elif isinstance(node, yaml.SequenceNode):
            waiting += [(item, named) for item in node.value]
        elif isinstance(node, yaml.ScalarNode) and _to_hide(node, named, mask):
            yield node


def _to_hide(node: yaml.ScalarNode, named: bool, mask: Masker) -> bool:
    value = str(node.value)
    if node.tag in _ENCRYPTED or not value:
        return False
    if mask.mask_known(value) != value:
        return True
    plain = node.tag in {"tag:yaml.org,2002:bool", "tag:yaml.org,2002:null"}
    return named and not plain and not looks_like_template(value)
