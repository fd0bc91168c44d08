"""Plays, tasks, handlers and waves: run a playbook on many hosts, each in its own thread and at its own pace.

The entry point is `remediation.engine.play.runner.run_playbook`. Each host's walk is a generator that stops only at barriers
(``run_once``, ``meta: end_play``). Between two barriers it depends only on the playbook, the variables and the results so
far, so another process with the same results reaches the same point (``resume``).
"""
