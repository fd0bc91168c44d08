"""Ansible keywords and modules that are not supported, with the alternative to suggest."""

from __future__ import annotations

from collections.abc import Mapping

_VALIDATE = "use assert in the role's tasks"
_LINUX_PACKAGES = "packages are not managed here; install them before the run, or with shell: guarded by creates, or let ansible-playbook do that part"
_WINDOWS_PACKAGES = (
    "packages are not managed here; install them before the run, or with win_shell: (winget, choco, msiexec) guarded by creates"
)
_DIRECTORY = (
    "Active Directory and accounts are not managed here; use win_powershell with the ActiveDirectory module, or ansible-playbook"
)
_FIREWALL = (
    "firewalls are not managed here; use win_powershell (New-NetFirewallRule) or command (firewall-cmd, ufw), or ansible-playbook"
)
_CLOUD = "clouds and their APIs are not managed here; use uri, or command with the provider's own program, or ansible-playbook"
_CONTAINERS = "use the steps of compose and containers (remediate steps), or command: docker ..."
_ARCHIVES = "use command: tar or unzip, or win_shell: Expand-Archive, guarded by creates"
_SETTINGS = "use win_powershell, with $Ansible.Changed for what it changed"
_ACCOUNTS = "accounts are not managed here; use command (useradd, usermod) guarded by a condition, or ansible-playbook"
_SERVERS = "this kind of server is not managed here; use command with its own program, or uri"
_FACTS = "remove it: facts are read when a step needs them"
_LOGIN = "set the login in the inventory (ansible_user, ansible_port, ansible_connection)"

REQUIREMENTS = (
    "this lists requirements for ansible-galaxy and is no playbook; roles and collections are not installed here: "
    "copy roles into roles/ next to the playbook, and name modules in full (ansible.builtin.NAME)"
)
"""The answer to a ``requirements.yml``."""

KEYWORDS: Mapping[str, str] = {
    **dict.fromkeys(("become_flags", "become_exe"), _LOGIN),
    "fact_path": _FACTS,
    "collections": "modules and roles of collections are not installed here; remove it, name modules in full (ansible.builtin.NAME) and copy roles into roles/",
    "with_cartesian": 'write loop: "{{ A | product(B) }}"',
    "with_filetree": "copy takes a folder as src; for its files, loop over lookup('fileglob', PATTERN)",
    "with_flattened": 'write loop: "{{ LIST | flatten }}"',
    "debugger": "there is no debugger; --check shows what would be done",
    "validate_argspec": _VALIDATE,
}  # fmt: skip

MODULES: Mapping[str, str] = {
    **dict.fromkeys(("apt", "apt_key", "apt_repository", "dnf", "dnf5", "yum", "yum_repository", "package", "pip", "deb822_repository", "rpm_key",
         "package_facts", "git", "subversion", "debconf", "dpkg_selections", "apk", "zypper", "pacman", "homebrew", "npm", "snap", "flatpak", "gem"),
        _LINUX_PACKAGES),
    **dict.fromkeys(("win_package", "win_chocolatey", "win_chocolatey_source", "win_feature", "win_optional_feature", "win_updates", "win_hotfix",
         "win_dsc", "win_scoop", "win_psmodule", "win_psrepository"), _WINDOWS_PACKAGES),
    **dict.fromkeys(("win_domain", "win_domain_controller", "win_domain_membership", "win_domain_user", "win_domain_group", "win_domain_computer",
         "win_domain_ou", "win_user", "win_group", "win_group_membership", "win_user_right", "win_user_profile", "membership", "domain"), _DIRECTORY),
    **dict.fromkeys(("win_firewall", "win_firewall_rule", "firewalld", "ufw", "iptables", "nftables"), _FIREWALL),
    **dict.fromkeys(("win_regedit", "win_reg_stat", "win_environment", "win_path", "win_timezone", "win_scheduled_task", "win_share", "win_acl",
         "win_acl_inheritance", "win_owner", "win_region", "win_hostname", "win_defrag", "win_pagefile", "win_power_plan", "win_shortcut", "win_dns_client",
         "win_certificate_store", "win_audit_policy_system", "win_security_policy", "win_partition", "win_format", "win_disk_facts", "win_iis_website",
         "win_credential", "win_auto_logon", "win_mapped_drive", "win_eventlog", "win_eventlog_entry", "win_lineinfile", "win_product_facts"), _SETTINGS),
    **dict.fromkeys(("unarchive", "archive", "win_unzip", "win_zip"), _ARCHIVES),
    **dict.fromkeys(("user", "group", "authorized_key", "known_hosts"), _ACCOUNTS),
    **dict.fromkeys(("docker_container", "docker_image", "docker_compose", "docker_compose_v2", "docker_network", "docker_volume", "docker_login",
         "docker_prune", "docker_host_info", "docker_container_exec"), _CONTAINERS),
    **dict.fromkeys(("win_find", "win_get_url", "win_robocopy", "synchronize", "xml", "ini_file", "htpasswd"),
        "use command, shell or win_shell, with creates or removes; register their output"),
    **dict.fromkeys(("cron", "hostname", "mount", "sysctl", "modprobe", "timezone", "locale_gen", "selinux", "seboolean", "kernel_blacklist", "alternatives",
         "mount_facts", "parted", "filesystem", "lvol", "lvg", "at", "rpm_ostree_pkg"), "use lineinfile or template for the file, and command to apply it"),
    **dict.fromkeys(("getent",), _FACTS),
    **dict.fromkeys(("service_facts", "win_service_info", "sysvinit"), "use service, systemd or win_service: they return the service's state"),
    **dict.fromkeys(("mysql_db", "mysql_user", "postgresql_db", "postgresql_user", "mongodb_user", "redis", "rabbitmq_user", "grafana_dashboard", "nagios",
         "zabbix_host", "jenkins_job"), _SERVERS),
    **dict.fromkeys(("mail", "slack", "telegram", "mattermost", "syslogger"), "use uri to call the service's webhook"),
    "expect": "use command with stdin, or shell",
    "include": "use include_tasks, or import_playbook for a playbook",
}  # fmt: skip

COLLECTIONS: Mapping[str, str] = {
    **dict.fromkeys(("amazon.", "community.aws.", "azure.", "google.", "openstack.", "vmware.", "community.vmware.", "community.digitalocean.", "hetzner.",
         "kubernetes.", "community.okd.", "community.hashi_vault.", "community.libvirt.", "netapp.", "cisco.", "arista.", "junipernetworks."), _CLOUD),
    **dict.fromkeys(("community.docker.", "containers.podman."), _CONTAINERS),
    "microsoft.ad.": _DIRECTORY,
    "chocolatey.": _WINDOWS_PACKAGES,
    **dict.fromkeys(("community.mysql.", "community.postgresql.", "community.mongodb.", "community.grafana.", "community.zabbix."), _SERVERS),
}  # fmt: skip
"""What to use instead of the modules of a collection, by the beginning of their names."""


def module_instead(name: str) -> str:
    """Return the alternative to an unsupported Ansible module, by its short or full name, or ""."""
    short = name.rpartition(".")[2]
    known = next((text for head, text in COLLECTIONS.items() if name.startswith(head)), "")
    if short in MODULES and not known:  # a collection's own `user` or `group` is another thing
        return MODULES[short]
    if known or name.count(".") < 2:
        return known
    return "this collection's modules are not here; use command, win_powershell or uri, write a module (docs/extending.md), or use ansible-playbook"
