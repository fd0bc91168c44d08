"""Ansible keywords and modules that are not supported, with the alternative to suggest."""

from __future__ import annotations

from collections.abc import Mapping

_VALIDATE = "use assert in the role's tasks"
_SHELL = "commands do not run in a shell; if you need one, name it: command: {argv: [sh, -c, ...]}"
_WINDOWS = "command runs programs on Windows too: command: {argv: [powershell, -NoProfile, -Command, ...]}"
_SERVICE = (
    "use a step (remediate steps), or command: {argv: [systemctl, restart, NAME]} or [powershell, -Command, Restart-Service NAME]"
)
_FILES = "use a step (remediate steps), or command with creates or removes"
_PACKAGES = "packages are not managed here; install them before the run, or with command"
_FACTS = "remove it: facts are read when a step needs them"
_LOGIN = "set the login in the inventory (ansible_user, ansible_port, ansible_connection)"
_ORDER = "hosts run in the order of the pattern, independently of each other"
_WAIT = "command waits for the program to end; set its limit with timeout"
_HOSTS = "define hosts and groups in the inventory"

KEYWORDS: Mapping[str, str] = {
    **dict.fromkeys(("become_flags", "become_exe"), _LOGIN),
    "fact_path": _FACTS,
    "collections": "modules and roles of collections are not installed here; remove it, name modules in full (ansible.builtin.NAME) and copy roles into roles/",
    "debugger": "there is no debugger; --check shows what would be done",
    "validate_argspec": _VALIDATE,
}  # fmt: skip

MODULES: Mapping[str, str] = {
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
    **dict.fromkeys(("getent",), _FACTS),
    **dict.fromkeys(("add_host", "group_by"), _HOSTS),
    **dict.fromkeys(("reboot", "win_reboot"), "reboot the machine yourself, then continue with remediate resume"),
    **dict.fromkeys(("ping", "win_ping", "wait_for_connection"), "the first task that needs a host connects to it; remediate check-host tests the connection"),
    **dict.fromkeys(("uri", "win_uri"), "use wait_for to check a port, or command: {argv: [curl, -f, URL]}"),
    **dict.fromkeys(("user", "group", "cron", "hostname", "iptables", "known_hosts", "mount_facts"), "use a step (remediate steps), or command"),
    "async_status": _WAIT,
    "debconf": _PACKAGES,
    "include": "use include_tasks, or import_playbook for a playbook",
    "pause": "use wait_for: {timeout: SECONDS}",
    "set_stats": "use set_fact; results are in remediate show --json",
    "validate_argument_spec": "use assert",
}  # fmt: skip


def module_instead(name: str) -> str:
    """Return the alternative to an unsupported Ansible module, by its short or full name, or ""."""
    short = name.rpartition(".")[2]
    if short in MODULES:
        return MODULES[short]
    return "modules of collections are not supported; remediate steps lists the steps" if name.count(".") > 1 else ""
