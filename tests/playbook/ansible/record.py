"""An Ansible callback that writes the result of each task, in the words of this project's events.

It is loaded by ansible-core itself (``ANSIBLE_CALLBACK_PLUGINS``); its output is what the flow is compared with.
"""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase

SHOWN = {"debug", "fail", "assert"}


class CallbackModule(CallbackBase):
    """Appends one JSON line per result to the file named by ``RECORD``, and the recap at the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "record"

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._play = ""

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._play = play.get_name()

    def _write(self, value: dict[str, Any]) -> None:
        with open(os.environ["RECORD"], "a", encoding="utf-8") as file:
            file.write(json.dumps(value, default=str) + "\n")

    def _entry(self, result: Any, outcome: str, *, item: bool = False) -> None:
        task = result._task
        if task.action.rsplit(".", 1)[-1] == "meta" or (
            task.action.endswith(("include_tasks", "include_role")) and outcome == "ok"
        ):
            return
        values = result._result
        entry = {"play": self._play, "task": task.get_name(), "host": result._host.get_name(), "outcome": outcome}
        if item:
            entry["item"] = values.get(values.get("ansible_loop_var", "item"), values.get("item"))
        action = task.action.rsplit(".", 1)[-1]
        looped = bool(task.loop) and not item
        if action in SHOWN and not looped and outcome != "skipped" and "exception" not in values:
            message = values.get("msg")
            if action == "debug" and "var" in task.args:
                message = values.get(str(task.args["var"]), message)
            if "censored" in values:
                pass
            elif not (action == "assert" and "fail_msg" not in task.args and "success_msg" not in task.args):
                entry["msg"] = message
        self._write(entry)

    def v2_runner_on_ok(self, result: Any) -> None:
        self._entry(result, "changed" if result._result.get("changed") else "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._entry(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._entry(result, "skipped")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._entry(result, "unreachable")

    def v2_runner_item_on_ok(self, result: Any) -> None:
        self._entry(result, "changed" if result._result.get("changed") else "ok", item=True)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        self._entry(result, "failed", item=True)

    def v2_runner_item_on_skipped(self, result: Any) -> None:
        self._entry(result, "skipped", item=True)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        recap = {}
        for host in sorted(stats.processed):
            found = stats.summarize(host)
            recap[host] = {
                "ok": found["ok"], "changed": found["changed"], "skipped": found["skipped"], "failed": found["failures"],
                "rescued": found["rescued"], "ignored": found["ignored"], "unreachable": found["unreachable"],
            }  # fmt: skip
        self._write({"recap": recap})
