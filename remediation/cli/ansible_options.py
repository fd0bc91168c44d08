"""Options of ``ansible-playbook`` that are spelled otherwise here, or have no place on a command line: what to use instead."""

from __future__ import annotations

from collections.abc import Mapping

_BECOME = "set become: true in the play or the task, or give -e ansible_become=true"
_LOGIN = (
    "set the login in the inventory (ansible_user, ansible_password, ansible_ssh_private_key_file), or give -e ansible_user=NAME"
)
_ASK_LOGIN = "set ansible_password in the inventory, by a vault or {{ lookup('prompt', 'Password') }}"
_ASK_BECOME = "set ansible_become_password in the inventory, by a vault or {{ lookup('prompt', 'Password') }}"
_CONNECTION = "set ansible_connection in the inventory, or give -e ansible_connection=local"
_SSH = "set the option of that name in the inventory (ansible_ssh_common_args), see docs/connections.md"
_VAULT = "use --vault-password-file, which takes ID@SOURCE as well"
_PROMPT = "use --vault-password-file prompt"
_PLAY = "use it with remediate play"

INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(("-b", "--become"), _BECOME),
    **dict.fromkeys(("--become-user", "--become-method"), "set become_user in the play, or give -e ansible_become_user=NAME; the method is sudo"),
    **dict.fromkeys(("-K", "--ask-become-pass", "--become-password-file", "--become-pass-file"), _ASK_BECOME),
    **dict.fromkeys(("-k", "--ask-pass", "--connection-password-file", "--conn-pass-file"), _ASK_LOGIN),
    **dict.fromkeys(("-u", "--user", "--remote-user", "--private-key", "--key-file"), _LOGIN),
    **dict.fromkeys(("-c", "--connection"), _CONNECTION),
    **dict.fromkeys(("-T", "--timeout"), "set ansible_timeout in the inventory, or timeout on a task"),
    **dict.fromkeys(("--ssh-common-args", "--ssh-extra-args", "--sftp-extra-args", "--scp-extra-args"), _SSH),
    **dict.fromkeys(("--vault-id", "--vault-ids", "--vault-pass-file"), _VAULT),
    **dict.fromkeys(("-J", "--ask-vault-pass", "--ask-vault-password"), _PROMPT),
    **dict.fromkeys(("-M", "--module-path"), "there are no modules; remediate steps lists the steps"),
    **dict.fromkeys(("--list-tasks", "--list-tags", "--list-hosts", "--syntax-check", "--start-at-task", "--tags", "-t", "--skip-tags"), _PLAY),
    "--flush-cache": "no facts are kept between runs, so leave it out",
    "--force-handlers": "set force_handlers: true in the play",
    "--step": "remediate play --check shows what would be done; --start-at-task and --limit run part of it",
    "--inventory-file": "use --inventory (-i)",
    "--subset": "use --limit (-l)",
}  # fmt: skip
"""By option, what an Ansible user does here instead."""
