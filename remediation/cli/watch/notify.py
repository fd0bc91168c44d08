"""Notifications of ``watch``: one HTTP request with JSON per event, in the form that the receiver reads."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from remediation.connections.addresses import address_of, is_host_name
from remediation.model.errors import UsageError

if TYPE_CHECKING:
    import requests

_log = logging.getLogger(__name__)

SECONDS = 10.0
"""Time limit of a request."""
URGENT = {"failed", "flapping", "unreachable"}

Body = Callable[[Mapping[str, Any]], dict[str, Any]]


def _plain(event: Mapping[str, Any]) -> dict[str, Any]:
    return dict(event)


def _slack(event: Mapping[str, Any]) -> dict[str, Any]:
    return {"text": event["text"]}


def _teams(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an adaptive card, as the workflow "Post to a channel when a webhook request is received" takes it."""
    block = {"type": "TextBlock", "text": event["text"], "wrap": True}
    card = {
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": "1.4",
        "body": [block],
    }
    return {"type": "message", "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}]}


def _ntfy(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message for the server's root; the topic is the last part of the URL."""
    urgent = event["event"] in URGENT
    return {
        "title": f"remediate: {event['host']}",
        "message": event["text"],
        "priority": 4 if urgent else 3,
        "tags": ["warning" if urgent else "white_check_mark"],
    }


FORMS: Mapping[str, Body] = {"json": _plain, "slack": _slack, "teams": _teams, "ntfy": _ntfy}


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where to send events, and in which form. The address often holds a token and is treated as a secret."""

    url: str
    form: str = "json"

    @classmethod
    def of(cls, given: str | None, form: str | None, environment: Mapping[str, str] = os.environ) -> Webhook | None:
        """Return the webhook of ``--notify`` (an address, or a variable of the environment that holds it). Raises `UsageError`."""
        if form is not None and form not in FORMS:
            raise UsageError(f"--notify-as: {form!r} is no form of a notification", next_step=f"use one of {', '.join(FORMS)}")
        if given is None:
            if form is not None:
                raise UsageError("--notify-as needs --notify", next_step="add --notify with an address")
            return None
        url = given if "://" in given else environment.get(given, "")
        if not _is_address(url):
            what = (
                f"the variable {given} holds no http or https address"
                if "://" not in given
                else "expected an http or https address"
            )
            raise UsageError(
                f"--notify: {what}", next_step="give the address, or the name of an environment variable that holds it"
            )
        if form == "ntfy" and not urlsplit(url).path.strip("/"):
            raise UsageError("--notify: an ntfy address ends with its topic", next_step="such as https://ntfy.sh/my-topic")
        return cls(url, form or "json")

    def send(self, event: Mapping[str, Any]) -> str:
        """Send an event; return what went wrong, an empty text if nothing did. Never raises."""
        import requests

        body, url = FORMS[self.form](event), self.url
        if self.form == "ntfy":
            root, _, topic = self.url.rstrip("/").rpartition("/")
            body, url = {"topic": topic, **body}, root
        try:
            reply = requests.post(url, json=body, timeout=SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            _log.info("notification failed: %s", type(error).__name__)
            return f"the notification could not be sent: {_reason(error, urlsplit(url).netloc.rpartition('@')[2])}"
        if reply.is_redirect:
            return f"the notification was redirected (status {reply.status_code}); give --notify the address that it leads to"
        return "" if reply.ok else f"the notification was refused with status {reply.status_code}; check the address of --notify"


def _is_address(url: str) -> bool:
    try:
        return address_of(url).port > 0 and is_host_name(urlsplit(url).hostname or "")
    except ValueError:
        return False


def _reason(error: requests.RequestException, server: str) -> str:
    """Return what went wrong as a phrase, without the address: its path often holds a token."""
    from requests import exceptions

    if isinstance(error, exceptions.SSLError):
        return f"the certificate of {server} was refused; use an address that the certificate names"
    if isinstance(error, exceptions.Timeout):
        return f"{server} did not answer within {SECONDS:g} s; check that it is reached from this machine"
    if isinstance(error, exceptions.ConnectionError):
        return f"no connection to {server}; check the name, the port, and the network"
    return f"{server} gave an answer that is not HTTP, or its address is invalid; check the address of --notify"
