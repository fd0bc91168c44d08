"""Plays, tasks, handlers and waves: how a playbook is walked on many hosts, each in its own thread and at its own pace.

`remediation.engine.play.runner.run_playbook` is the way in. A host's walk (`walk`) is a generator that stops only where hosts
have to meet (``run_once``, ``meta: end_play``); between two such points it depends on nothing but the playbook, the
variables and the results so far, so that the same results bring another process to the same point (``resume``).
"""
