"""Keep the catalogues of messages complete: ``python scripts/messages.py`` updates them.

``--list`` prints what has no translation, ``--check`` fails if a catalogue is not up to date.
Messages come from calls of `gettext` and `ngettext`, from the templates of pages, from sentences in the code whose errors, changes
and states appear in events, from the knowledge and the facts of the diagnosis, and from the names in the shipped playbooks. A translation is
kept while its message is unchanged; messages that are gone are removed.
New messages are listed in ``missing.txt`` until they are translated in the PO file. Babel is needed only here.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

from remediation.diagnosis.facts.names import FACTS
from remediation.diagnosis.facts.words import WORDS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "remediation"
LOCALE = PACKAGE / "locale"
MISSING = "missing.txt"
"""Per language, the messages that may lack a translation for now, one per line."""

SENTENCES = (
    "steps", "engine/ladder", "engine/lease", "engine/step", "engine/approval.py", "diagnosis/advice", "diagnosis/facts/run", "diagnosis/facts/host", "diagnosis/facts/memory",
    "diagnosis/memory", "diagnosis/readers/coverage.py", "diagnosis/readers/texts/docker.py", "diagnosis/readers/present.py", "diagnosis/diagnose.py", "diagnosis/collect.py", "facets/target.py", "model/facts", "cli/commands/verify_watch.py",
    "inventory", "playbook", "connections", "cli/watch", "cli/commands/watching", "cli/commands/steps.py", "cli/runner.py", "engine/play/runner.py", "engine/play/selection.py",
    "modules", "cli/context.py", "cli/resources.py", "cli/argv.py", "cli/outputs.py", "cli/extra_vars.py", "cli/log_file.py", "cli/spread",
    "cli/commands/diagnose.py", "cli/commands/followup.py", "engine/benchmark.py", "engine/context.py", "engine/executors", "engine/followup",
    "engine/internal_errors.py", "engine/journal/history.py", "engine/journal/journal.py", "engine/journal/run_lock.py", "engine/play/context",
    "facets/snapshot.py",
)  # fmt: skip
"""Folders and modules whose sentences people read in events and errors."""

NO_SENTENCES = {"inventory/schema.py", "playbook/schema.py"}
"""Modules below them with texts for editors: they stay English."""

PLURALS = {"es": "nplurals=2; plural=(n != 1);"}
"""One and many: Babel adds a third form for millions, which no message needs."""

PLAYBOOKS = ("fix-offload.yml", "verify.yml")
KNOWN = ("cure", "title", "confirm", "by_hand")
"""Texts of an entry of the knowledge; ``on`` has more."""

_WORDS = re.compile(r"[^\W\d_]{2,}[,;:)]? (?:\(?[^\W\d_]{2,}|\{)|\} [^\W\d_]{2,}|[^\W\d_]{2,} \{")
_COMMAND = re.compile(r"^(?:docker|podman|kubectl|systemctl|journalctl|sudo|ollama|powershell|schtasks|type|sc|wsl) [\w{ .:/-]*$")
_SCRIPT = re.compile(
    r"""^\w+_string \w+_string |\$\(|"\$|\$1|\\"|\$\w+=|^\S+=.*;|^\[(?:Unit\]|Console\]| )|^<\?xml|^if\(|^(?:cd|command -v|echo|export) |^find \""""
)
"""Of a text for a shell or a file; people do not read it in a sentence."""
_SILENT_CALLS = {
    "compile", "param", "Field", "getLogger", "step", "field_validator", "register", "TypeVar", "fact", "log_debug", "command_task", "gauge",
    "Counter",
}  # fmt: skip
_LOGGING = {"debug", "info", "warning", "error", "exception"}


def extracted() -> Catalog:
    """Return all messages, in the order of their sources."""
    catalog = Catalog(project="remediation", charset="utf-8", fuzzy=False)
    for message, name in of_code():
        _add(catalog, message, name)
    for path in sorted((PACKAGE / "report" / "page").glob("*.j2")):
        with path.open("rb") as file:
            for _, _, found, _ in babel_extract(file, ("gettext", "ngettext"), (), {"trimmed": "true"}):
                texts = tuple(text for text in ([found] if isinstance(found, str) else found or ()) if text)
                if texts:
                    _add(catalog, texts[0] if len(texts) == 1 else texts[:2], f"report/page/{path.name}")
    for path in sorted((PACKAGE / "diagnosis" / "knowledge").glob("*.yml")):
        for message in of_knowledge(yaml.safe_load(path.read_text(encoding="utf-8"))):
            _add(catalog, message, f"diagnosis/knowledge/{path.name}")
    for message, name in of_facts():
        _add(catalog, message, name)
    for name in PLAYBOOKS:
        for message in named(yaml.safe_load((ROOT / "playbooks" / name).read_text(encoding="utf-8"))):
            _add(catalog, message, f"playbooks/{name}")
    return catalog


def of_code() -> Iterator[tuple[str | tuple[str, ...], str]]:
    """Yield the messages of the modules, each with its module."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield from ((message, name) for message in marked(tree))
        if name not in NO_SENTENCES and any(name == each or name.startswith(f"{each}/") for each in SENTENCES):
            yield from ((message, name) for message in sentences(tree))


def _add(catalog: Catalog, message: str | tuple[str, ...], place: str) -> None:
    first = message if isinstance(message, str) else message[0]
    existing = catalog.get(first)
    if existing is None:
        catalog.add(message, locations=[(place, None)])
    elif place not in [name for name, _ in existing.locations]:
        existing.locations.append((place, None))
    if existing is not None and isinstance(existing.id, str) and not isinstance(message, str):
        existing.id = message
        existing.string = ("", "")


def marked(tree: ast.AST) -> Iterator[str | tuple[str, ...]]:
    """Yield the messages of calls of `gettext`, `ngettext`, and `plural`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        if name in {"gettext", "translatable"} and texts:
            yield texts[0]
        elif name == "ngettext" and len(texts) > 1:
            yield texts[0], texts[1]
        elif name == "plural" and texts:
            yield f"{{count}} {texts[0]}", f"{{count}} {texts[1] if len(texts) > 1 else texts[0] + 's'}"


def sentences(tree: ast.AST) -> Iterator[str]:
    """Yield the sentences of a module: texts with several words that are no docstring, no log call and no pattern."""
    documentation = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
    yield from _sentences(tree, documentation)


def _sentences(node: ast.AST, documentation: set[ast.expr]) -> Iterator[str]:
    if node in documentation or _silent(node):
        return
    text = None
    if isinstance(node, ast.JoinedStr):
        text = as_message(node)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = node.value
    if text is not None and _WORDS.search(text) and not _COMMAND.match(text.strip()) and not _SCRIPT.search(text):
        yield _bare(text)
    for child in ast.iter_child_nodes(node):
        if not (isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)):
            yield from _sentences(child, documentation)


def _bare(text: str) -> str:
    return text.strip(" .,;:") if text.strip(" .,;:").count("(") == text.count("(") else text.strip()


def _silent(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Attribute):
        return node.func.attr in _SILENT_CALLS or (node.func.attr in _LOGGING and getattr(node.func.value, "id", "") == "_log")
    return getattr(node.func, "id", "") in _SILENT_CALLS | {"gettext", "ngettext", "plural"}


def as_message(node: ast.JoinedStr) -> str:
    """Return an f-string as a message: each expression is a placeholder, named after what it evaluates."""
    parts: list[str] = []
    expressions: dict[str, str] = {}
    for part in node.values:
        if isinstance(part, ast.Constant):
            parts.append(str(part.value).replace("{", "{{").replace("}", "}}"))
        elif isinstance(part, ast.FormattedValue):
            source = ast.dump(part.value)
            name = re.sub(r"\W", "", placeholder(part.value))[:24] or "value"
            unique, number = name, 2
            while expressions.get(unique, source) != source:
                unique, number = f"{name}{number}", number + 1
            expressions[unique] = source
            parts.append(f"{{{unique}}}")
    return "".join(parts)


def placeholder(node: ast.expr) -> str:
    """Return a name for the value of an expression."""
    if isinstance(node, ast.Name):
        return node.id.strip("_")
    if isinstance(node, ast.Attribute):
        return node.attr.strip("_")
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "verb":
        return "verb"
    if isinstance(node, ast.Call):
        inner = [each for each in node.args if isinstance(each, (ast.Name, ast.Attribute, ast.Subscript, ast.Call))]
        return placeholder(inner[0]) if inner else placeholder(node.func)
    if isinstance(node, ast.Subscript):
        key = node.slice.value if isinstance(node.slice, ast.Constant) else None
        return key if isinstance(key, str) and key.isidentifier() else placeholder(node.value)
    if isinstance(node, ast.BoolOp):
        return placeholder(node.values[0])
    if isinstance(node, ast.IfExp):
        return placeholder(node.test)
    return "value"


def of_knowledge(document: Any) -> Iterator[str]:
    """Yield the texts of a file of the knowledge."""
    for entry in (*document.get("mechanisms", ()), *document.get("likely", ())):
        for text in (*(entry.get(key) for key in KNOWN), *(entry.get("on") or {}).values()):
            if text:
                yield (
                    re.sub(r"\{(?!\w{1,40}\})|(?<!\w)\}", lambda brace: brace[0] * 2, text)
                    if re.search(r"\{\w+\}", text)
                    else text
                )


def of_facts() -> Iterator[tuple[str, str]]:
    """Yield what the facts of the diagnosis mean, each with its module."""
    yield from ((meaning, "diagnosis/facts/names.py") for meaning in FACTS.values())
    yield from ((words[0], "diagnosis/facts/words.py") for words in WORDS.values())


def named(value: Any) -> Iterator[str]:
    """Yield the names of plays, tasks and rungs, and constant messages."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key in {"name", "msg", "fail_msg", "success_msg"} and isinstance(each, str):
                parts = re.split(r"\{\{.*?\}\}", " ".join(each.split()))
                yield "".join(f"{part}{{value{number}}}" for number, part in enumerate(parts[:-1], 1)) + parts[-1]
            else:
                yield from named(each)
    elif isinstance(value, list):
        for each in value:
            yield from named(each)


def merged(language: str) -> Catalog:
    """Return the catalogue of a language with today's messages and the translations it has for them."""
    with (LOCALE / language / "LC_MESSAGES" / "remediation.po").open("rb") as file:
        known = read_po(file, locale=language)
    new = extracted()
    catalog = Catalog(
        locale=language,
        project="remediation",
        charset="utf-8",
        fuzzy=False,
        header_comment=f"# Messages of remediation: {language}",
    )
    catalog.mime_headers = [("Plural-Forms", PLURALS[language])]
    catalog.creation_date = catalog.revision_date = known.creation_date
    for message in sorted((each for each in new if each.id), key=lambda each: (each.locations[0][0], str(each.id))):
        translation = known.get(message.id if isinstance(message.id, str) else message.id[0])
        string = translation.string if translation is not None and translation.id == message.id else ""
        catalog.add(message.id, string, locations=sorted(message.locations), flags={"python-brace-format"} & message.flags)
    return catalog


def untranslated(catalog: Catalog) -> list[str]:
    """Return the messages without a translation."""
    return [
        message.id if isinstance(message.id, str) else message.id[0]
        for message in catalog
        if message.id and not all([message.string] if isinstance(message.string, str) else message.string)
    ]


def write(language: str, catalog: Catalog) -> None:
    """Write a catalogue."""
    with (LOCALE / language / "LC_MESSAGES" / "remediation.po").open("wb") as file:
        write_po(file, catalog, width=0, omit_header=False, sort_by_file=False)


def allowed_path(language: str) -> Path:
    """Return the file with the messages that may lack a translation."""
    return LOCALE / language / MISSING


def allowed(language: str) -> list[str]:
    """Return the messages that may lack a translation for now."""
    path = allowed_path(language)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def stale(language: str, catalog: Catalog) -> list[str]:
    """Return what is wrong with a catalogue's file, as sentences."""
    with (LOCALE / language / "LC_MESSAGES" / "remediation.po").open("rb") as file:
        known = {message.id for message in read_po(file, locale=language) if message.id}
    wanted = {message.id for message in catalog if message.id}
    missing, may_miss = set(untranslated(catalog)), set(allowed(language))
    problems = [f"not in the catalogue: {message!r}" for message in sorted(map(str, wanted - known))]
    problems += [f"in the catalogue, but no longer in the program: {message!r}" for message in sorted(map(str, known - wanted))]
    problems += [f"no translation: {message!r}" for message in sorted(missing - may_miss)]
    problems += [f"listed in {MISSING}, but translated or gone: {message!r}" for message in sorted(may_miss - missing)]
    return [f"{language}: {problem}" for problem in problems]


def main(words: Sequence[str]) -> int:
    """Update the catalogues, check them, or list what they lack."""
    problems: list[str] = []
    for language in sorted(folder.name for folder in LOCALE.iterdir() if folder.is_dir()):
        catalog = merged(language)
        missing = untranslated(catalog)
        if "--list" in words:
            print("\n".join(missing))
        elif "--check" in words:
            problems += stale(language, catalog)
        else:
            write(language, catalog)
            listed = "".join(f"{json.dumps(message, ensure_ascii=False)}\n" for message in missing)
            if listed:
                allowed_path(language).write_text(listed, encoding="utf-8")
            else:
                allowed_path(language).unlink(missing_ok=True)
            print(f"{language}: {len(catalog)} messages, {len(missing)} without a translation")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
