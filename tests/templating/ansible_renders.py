"""Evaluates templates and conditions with ansible-core's own classes: questions as JSON on stdin, answers as JSON on stdout.

``python ansible_renders.py recorded.json`` writes that file.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["ANSIBLE_DEPRECATION_WARNINGS"] = "0"

from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.release import __version__
from ansible.template import Templar, trust_as_template


def trusted(value: Any) -> Any:
    if isinstance(value, str):
        return trust_as_template(value)
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    return [trusted(item) for item in value] if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """Return a value as JSON has it; Ansible's values have their own types."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return f"{type(value).__name__}:{value}"


def answers(asked: dict[str, Any]) -> dict[str, Any]:
    def templar(variables: dict[str, Any]) -> Templar:
        return Templar(loader=DataLoader(), variables=trusted(variables))

    def rendered(text: str) -> dict[str, Any]:
        try:
            return {"template": text, "value": plain(templar(asked["variables"]).template(trust_as_template(text)))}
        except Exception:
            return {"template": text, "fails": True}

    def holds(condition: Any) -> dict[str, Any]:
        try:
            engine = templar(asked["condition_variables"])._engine
            return {"condition": condition, "holds": engine.evaluate_conditional(trusted(condition))}
        except Exception:
            return {"condition": condition, "fails": True}

    return {
        "ansible_core": __version__,
        "variables": asked["variables"],
        "condition_variables": asked["condition_variables"],
        "templates": [rendered(item["template"]) for item in asked["templates"]],
        "conditions": [holds(item["condition"]) for item in asked["conditions"]],
    }


def written(answer: dict[str, Any]) -> str:
    """Return the answers as JSON with one line for each."""
    heads = [
        f' "{name}": {json.dumps(answer[name], ensure_ascii=False)}'
        for name in ("ansible_core", "variables", "condition_variables")
    ]
    lists = [
        f' "{name}": [\n' + ",\n".join(f"  {json.dumps(item, ensure_ascii=False)}" for item in answer[name]) + "\n ]"
        for name in ("templates", "conditions")
    ]
    return "{\n" + ",\n".join([*heads, *lists]) + "\n}\n"


if __name__ == "__main__":
    init_plugin_loader()
    if sys.argv[1:]:
        path = Path(sys.argv[1])
        path.write_text(written(answers(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
    else:
        json.dump(answers(json.load(sys.stdin)), sys.stdout)
