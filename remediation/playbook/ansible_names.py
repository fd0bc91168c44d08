"""Keywords and modules of Ansible that are not here, with what to use instead: a user who brings a playbook along is told so."""

from __future__ import annotations

from collections.abc import Mapping

_ROLES = "there are no roles; bring their tasks in with import_tasks, their defaults with vars_files"
_SHELL = "a command sees no shell; where one is wanted, name it: command: {argv: [sh, -c, ...]}"
_WINDOWS = "command runs programs on Windows too: command: {argv: [powershell, -NoProfile, -Command, ...]}"
_SERVICE = "a step sets a state (remediate steps); else command: {argv: [systemctl, restart, NAME]} or [powershell, -Command, Restart-Service NAME]"
_FILES = "a step sets a state (remediate steps); else command with creates or removes"
_PACKAGES = "packages are not installed here; do it before the run, or by command"
_FACTS = "facts are read when a step needs them, so leave it out"
_LOGIN = "who is logged in where stands in the inventory (ansible_user, ansible_port, ansible_connection)"
_ORDER = "hosts go in the order of the pattern, each at its own pace"
_WAIT = "command waits for its end; say how long it may take with timeout"
_HOSTS = "hosts stand in the inventory; write the group there"

KEYWORDS: Mapping[str, str] = {
    **dict.fromkeys(("async", "poll"), _WAIT),
    **dict.fromkeys(("connection", "remote_user", "port", "become_method", "become_flags", "become_exe"), _LOGIN),
    **dict.fromkeys(("strategy", "order"), _ORDER),
    **dict.fromkeys(("gather_subset", "gather_timeout", "fact_path"), _FACTS),
    **dict.fromkeys(("action", "local_action"), "write the step as the key: command: ...; delegate_to: localhost runs it on this machine"),
    "collections": "there are no collections; remediate steps lists the steps",
    "debugger": "there is no debugger; --check shows what would be done",
    "delegate_facts": "variables belong to the host that sets them",
    "module_defaults": "write the parameters on each task, or use a YAML anchor",
    "roles": _ROLES,
    "validate_argspec": _ROLES,
    "vars_prompt": "use a variable: {{ lookup('prompt', 'Question') }}",
}  # fmt: skip

MODULES: Mapping[str, str] = {
    **dict.fromkeys(("include_role", "import_role"), _ROLES),
    **dict.fromkeys(("shell", "raw", "script", "expect"), _SHELL),
    **dict.fromkeys(("win_command", "win_shell", "win_powershell"), _WINDOWS),
    **dict.fromkeys(("service", "systemd", "systemd_service", "win_service", "service_facts", "win_service_info", "sysvinit"), _SERVICE),
    **dict.fromkeys(
        ("file", "copy", "template", "stat", "lineinfile", "blockinfile", "replace", "get_url", "unarchive", "fetch", "slurp", "find",
         "assemble", "tempfile", "synchronize", "win_copy", "win_file", "win_template", "win_stat", "win_get_url", "win_lineinfile"), _FILES
    ),
    **dict.fromkeys(
        ("apt", "apt_key", "apt_repository", "dnf", "dnf5", "yum", "yum_repository", "package", "pip", "deb822_repository", "rpm_key",
         "package_facts", "win_package", "win_chocolatey", "win_feature", "git", "subversion"), _PACKAGES
    ),
    **dict.fromkeys(("setup", "gather_facts", "getent"), _FACTS),
    **dict.fromkeys(("add_host", "group_by"), _HOSTS),
    **dict.fromkeys(("reboot", "win_reboot"), "reboots are not made here; reboot the machine, then go on with remediate resume"),
    **dict.fromkeys(("ping", "win_ping", "wait_for_connection"), "a host is opened by the first task that needs it; remediate check-host tries it out"),
    **dict.fromkeys(("uri", "win_uri"), "wait_for sees whether a port answers; else command: {argv: [curl, -f, URL]}"),
    **dict.fromkeys(("user", "group", "cron", "hostname", "iptables", "known_hosts", "mount_facts"), "a step sets a state (remediate steps); else command"),
    "async_status": _WAIT,
    "debconf": _PACKAGES,
    "include": "use include_tasks, or import_playbook for a playbook",
    "pause": "use wait_for: {timeout: SECONDS}",
    "set_stats": "use set_fact; results are in remediate show --json",
    "validate_argument_spec": "use assert",
}  # fmt: skip


def module_instead(name: str) -> str:
    """Return what to use instead of a module of Ansible's, by its plain or full name; empty for what is none."""
    short = name.rpartition(".")[2]
    if short in MODULES:
        return MODULES[short]
    return "modules of collections are not here; remediate steps lists the steps" if name.count(".") > 1 else ""
