"""Reads inventories with ansible-core's own classes: questions as JSON on stdin, answers as JSON on stdout."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ["ANSIBLE_DEPRECATION_WARNINGS"] = "0"

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.plugins.vars import host_group_vars
from ansible.vars.manager import VariableManager


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    for cache in (host_group_vars.FOUND, host_group_vars.NAK, host_group_vars.CANONICAL_PATHS):
        cache.clear()
    loader = DataLoader()
    loader.set_basedir(asked["play"])
    inventory = InventoryManager(loader=loader, sources=asked["sources"])
    variables = VariableManager(loader=loader, inventory=inventory)

    def select(pattern: str) -> list[str]:
        try:
            return [host.name for host in inventory.get_hosts(pattern)]
        except IndexError:  # a slice that is out of bounds
            return []

    hosts = {host.name: variables.get_vars(host=host, include_hostvars=False) for host in inventory.get_hosts()}
    return {
        "groups": {name: sorted(members) for name, members in inventory.get_groups_dict().items()},
        "hosts": {name: {key: known[key] for key in known if key != "ansible_version"} for name, known in hosts.items()},
        "patterns": {pattern: select(pattern) for pattern in asked["patterns"]},
    }


if __name__ == "__main__":
    init_plugin_loader()
    json.dump([answer(asked) for asked in json.load(sys.stdin)], sys.stdout, default=str)
