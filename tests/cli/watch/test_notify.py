"""Notifications over HTTP, in the form of each receiver."""

from __future__ import annotations

import pytest
import requests

from remediation.cli.watch.notify import Webhook, _reason
from remediation.model.errors import UsageError
from tests.cli.watch.webhook_receiver import receiver

EVENT = {"event": "flapping", "time": 1.0, "host": "laptop-07", "text": "laptop-07: came back", "cause": "vram_occupied"}


def test_the_plain_form_has_every_field() -> None:
    with receiver() as received:
        assert Webhook(f"{received.url}/hook").send(EVENT) == ""
    assert received.posts == [("/hook", EVENT)]


def test_slack_teams_and_ntfy_get_what_they_read() -> None:
    with receiver() as received:
        for form in ("slack", "teams", "ntfy"):
            assert Webhook(f"{received.url}/services/topic", form).send(EVENT) == ""
    (slack_path, slack), (_, teams), (ntfy_path, ntfy) = received.posts
    assert (slack_path, slack) == ("/services/topic", {"text": EVENT["text"]})
    assert teams["attachments"][0]["content"]["body"][0]["text"] == EVENT["text"]
    assert (ntfy_path, ntfy["topic"], ntfy["message"], ntfy["priority"]) == ("/services", "topic", EVENT["text"], 4)


@pytest.mark.parametrize("status", [403, 500, 302])
def test_a_refused_notification_is_one_sentence(status: int) -> None:
    with receiver(status) as received:
        assert (
            Webhook(received.url)
            .send(EVENT)
            .startswith(f"the notification was {'redirected (' if status == 302 else 'refused with '}status {status}")
        )


def test_a_receiver_that_is_gone_is_one_sentence_without_the_address() -> None:
    said = Webhook("http://user:pass@127.0.0.1:1/T0KEN").send(EVENT)
    assert said == "the notification could not be sent: no connection to 127.0.0.1:1; check the name, the port, and the network"


@pytest.mark.parametrize("url", ["http://[", "http://gpu:99999/x", "https://hooks..example/x", "ftp://hooks/x", "https:///x"])
def test_an_address_that_cannot_be_is_refused_before_a_round(url: str) -> None:
    with pytest.raises(UsageError, match="--notify: expected an http or https address"):
        Webhook.of(url, None)
    with pytest.raises(UsageError, match="--notify: the variable HOOK holds no http or https address"):
        Webhook.of("HOOK", None, {"HOOK": url})


@pytest.mark.parametrize(
    ("error", "phrase"),
    [
        (requests.exceptions.SSLError("T0KEN"), "the certificate of hooks.example was refused"),
        (requests.exceptions.ReadTimeout("T0KEN"), "hooks.example did not answer within 10 s"),
        (requests.exceptions.ConnectTimeout("T0KEN"), "hooks.example did not answer within 10 s"),
        (requests.exceptions.InvalidURL("T0KEN"), "hooks.example gave an answer that is not HTTP, or its address is invalid"),
    ],
)
def test_each_kind_of_failure_is_a_phrase_with_what_to_do(error: requests.RequestException, phrase: str) -> None:
    said = _reason(error, "hooks.example")
    assert said.startswith(phrase)
    assert "; " in said
    assert "T0KEN" not in said


def test_the_address_may_stand_in_the_environment() -> None:
    assert Webhook.of("HOOK", "slack", {"HOOK": "https://hooks.example/T0KEN"}) == Webhook("https://hooks.example/T0KEN", "slack")
    assert Webhook.of(None, None, {}) is None


@pytest.mark.parametrize(
    ("given", "form", "sentence"),
    [
        ("HOOK", None, "the variable HOOK holds no http or https address"),
        ("ftp://x", None, "expected an http or https address"),
        ("https://x", "irc", "is no form of a notification"),
        (None, "slack", "needs --notify"),
        ("https://ntfy.sh", "ntfy", "ends with its topic"),
    ],
)
def test_a_wrong_address_is_refused_at_once(given: str | None, form: str | None, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Webhook.of(given, form, {})
