"""What is to be repaired on a host, where it is not as plain as in the guide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from remediation.connections.calls import Completed, Http
from remediation.facets.docker.engine import CommandEngine
from remediation.facets.host_info import HostInfo
from remediation.facets.target import NATIVE, Finder
from remediation.model.clock import SystemClock
from remediation.model.errors import CallFailed
from remediation.model.facts import ComposeProject, Found, Target
from tests.facets.prepared_connection import Answering, docker

PROJECT = {
    "com.docker.compose.project": "ai", "com.docker.compose.project.working_dir": "/srv/ai",
    "com.docker.compose.project.config_files": "/srv/ai/a.yml,/srv/ai/b.yml",
}  # fmt: skip


def box(
    name: str, *, image: str = "ollama/ollama:0.13.5", service: str = "", port: str = "", address: str = "", status: str = "running",
    path: str = "/bin/ollama", args: tuple[str, ...] = ("serve",), environment: tuple[str, ...] = (), **labels: str,
) -> dict[str, Any]:  # fmt: skip
    project = {**PROJECT, "com.docker.compose.service": service} if service else {}
    bound = {"11434/tcp": [{"HostIp": "0.0.0.0", "HostPort": port}]} if port else {"11434/tcp": None}
    return {
        "Id": f"id-{name}", "Name": f"/{name}", "Path": path, "Args": list(args), "State": {"Status": status},
        "Config": {"Image": image, "Env": list(environment), "Labels": {**project, **labels}}, "HostConfig": {},
        "NetworkSettings": {"Ports": bound, "Networks": {"n": {"IPAddress": address}}},
    }  # fmt: skip


def server(*loaded: str, stored: tuple[str, ...] = (), url: str = NATIVE) -> dict[str, Any]:
    return {
        f"{url}/api/version": {"version": "0.13.5"},
        f"{url}/api/ps": {"models": [{"name": each, "model": each} for each in loaded]},
        f"{url}/api/tags": {"models": [{"name": each} for each in stored or loaded]},
    }


def find(*boxes: dict[str, Any], variables: Mapping[str, Any] | None = None, **host: Any) -> Target:
    connection = Answering(runs=docker(boxes), **host)
    look = connection.look()
    engine = CommandEngine(look, {})
    return Finder(look, variables or {}, engine.containers, engine.first_calls).find()


def test_a_native_server_has_no_container_and_no_project() -> None:
    target = find(http=server("mistral:7b"))
    assert target.endpoint is not None
    assert (target.endpoint.value, target.container, target.project) == (NATIVE, None, None)
    assert target.model is not None
    assert target.model.value == "mistral:7b"


def test_what_answers_but_is_no_ollama_is_not_taken_for_one() -> None:
    assert find(http={f"{NATIVE}/api/version": {"name": "something else"}}).endpoint is None


def test_without_anything_there_is_nothing_and_no_error() -> None:
    assert find() == Target()


def test_the_one_that_publishes_the_port_is_the_server_and_not_its_neighbour_of_the_same_image() -> None:
    api = box("api", service="api", path="sleep", args=("infinity",), environment=("OLLAMA_BASE_URL=http://ollama:11434",))
    target = find(api, box("ollama", service="ollama", port="8080"), http=server("m", url="http://127.0.0.1:8080"))
    assert target.container is not None
    assert target.endpoint is not None
    assert target.application is not None
    assert (target.container.value, target.endpoint.value, target.application.value) == ("ollama", "http://127.0.0.1:8080", "api")
    assert target.project is not None
    assert target.project.value == ComposeProject("ai", ("/srv/ai/a.yml", "/srv/ai/b.yml"), "/srv/ai")


def test_a_server_that_publishes_nothing_is_reached_at_its_own_address() -> None:
    target = find(box("ollama", service="ollama", address="172.18.0.2"), http=server("m", url="http://172.18.0.2:11434"))
    assert target.endpoint is not None
    assert target.endpoint.value == "http://172.18.0.2:11434"
    assert "publishes no port" in target.endpoint.source
    assert target.model is not None


def test_two_that_are_alike_are_named_and_none_is_chosen() -> None:
    with pytest.raises(CallFailed, match="may be the Ollama server: one, two") as raised:
        find(box("one", port="11434"), box("two", port="11435"))
    assert "-e container=one" in raised.value.next_step
    target = find(
        box("one", port="11434"),
        box("two", port="11435"),
        variables={"container": "two"},
        http=server("m", url="http://127.0.0.1:11435"),
    )
    assert target.endpoint is not None
    assert target.endpoint.value == "http://127.0.0.1:11435"


def test_a_running_one_is_chosen_before_a_stopped_one() -> None:
    target = find(box("old", port="11434", status="exited"), box("new", port="11434"), http=server("m"))
    assert target.container is not None
    assert target.container.value == "new"


def test_other_images_are_not_taken_for_ollama() -> None:
    assert find(box("web", image="someone/ollama-webui:1", path="node", args=("server.js",))).container is None


@pytest.mark.parametrize(
    ("content", "model"),
    [
        (b"# OLLAMA_MODEL=no\nOLLAMA_MODEL=phi3:3.8b # small\n", "phi3:3.8b"),
        (b"\xef\xbb\xbfexport OLLAMA_MODEL='phi3:3.8b'\r\n", "phi3:3.8b"),
        (b"OLLAMA_MODEL=\n", None),
    ],
)
def test_the_project_names_the_model_where_none_is_loaded(content: bytes, model: str | None) -> None:
    target = find(
        box("ollama", service="ollama", port="11434"), http=server(stored=("a:1", "b:1")), files={"/srv/ai/.env": content}
    )
    assert (target.model.value if target.model else None) == model
    assert target.candidates == (() if model else ("a:1", "b:1"))
    if target.model is not None:
        assert target.model.source == "/srv/ai/.env: OLLAMA_MODEL"


def test_the_application_says_it_where_the_project_does_not() -> None:
    api = box("api", service="api", path="app", environment=("OLLAMA_BASE_URL=http://ollama:11434/", "OLLAMA_MODEL=b:1"))
    target = find(box("ollama", service="ollama", port="11434"), api, http=server(stored=("a:1", "b:1")))
    assert target.model is not None
    assert (target.model.value, target.model.source) == ("b:1", "OLLAMA_MODEL of the container api")


def test_the_only_stored_model_is_chosen_and_of_several_loaded_none() -> None:
    target = find(http=server(stored=("a:1",)))
    assert target.model is not None
    assert target.model.source == "is the only one stored (/api/tags)"
    several = find(http=server("a:1", "b:1", stored=("a:1", "b:1", "c:1")))
    assert (several.model, several.candidates) == (None, ("a:1", "b:1"))


ONE, TWO = "1" * 64, "2" * 64
STARTED = 'time=T level=INFO source=routes.go:1 msg="Listening on 127.0.0.1:11434 (version 0.13.5)"\n'


def load(digest: str, engine: str = "") -> str:
    return f'time=T msg="starting runner" cmd="/usr/bin/ollama runner {engine}--model /m/blobs/sha256-{digest} --port 4"\n'


@pytest.mark.parametrize(
    ("log", "model", "candidates"),
    [
        (STARTED + load(ONE) + STARTED, "a:1", ()),
        (STARTED + load(TWO) + STARTED + load(ONE, "--ollama-engine ") + load(ONE) + STARTED, "a:1", ()),
        (STARTED + load(TWO) + STARTED, None, ("b:1", "copy:1")),
        (STARTED + load(ONE) + load(TWO) + STARTED, None, ("a:1", "b:1", "copy:1")),
        (STARTED + load("3" * 64), None, ("a:1", "b:1", "copy:1")),
        (STARTED, None, ("a:1", "b:1", "copy:1")),
        ("", None, ("a:1", "b:1", "copy:1")),
    ],
    ids=[
        "one before the restart",
        "the last server that loaded any",
        "two names of a file",
        "two at once",
        "gone",
        "none",
        "no log",
    ],
)
@pytest.mark.parametrize("boxed", [False, True], ids=["native", "container"])
def test_without_a_loaded_model_the_one_in_the_log_is_meant(
    log: str, model: str | None, candidates: tuple[str, ...], *, boxed: bool
) -> None:
    files = {"a:1": ONE, "b:1": TWO, "copy:1": TWO}
    http = {
        **server(stored=tuple(files)),
        f"{NATIVE}/api/show": lambda body: {
            "modelfile": f"# FROM a:1\n\nFROM /m/blobs/sha256-{files[body['model']]}\nTEMPLATE x\n"
        },
    }
    engine = docker([box("ollama", port="11434")] if boxed else [])
    journal = Completed(0, log.encode(), b"")
    connection = Answering(runs=lambda argv: journal if argv[0] == "journalctl" else engine(argv), http=http)
    look, logs = connection.look(), (lambda _: log)
    docker_engine = CommandEngine(look, {})
    target = Finder(look, {}, docker_engine.containers, docker_engine.first_calls, logs=logs).find()
    assert (model_of(target), target.candidates) == (model, candidates)
    assert target.model is None or target.model.source == "was loaded last (the server's log)"
    again = Finder(connection.look(), {}, docker_engine.containers, docker_engine.first_calls, history=False, logs=logs).find()
    assert again.model is None
    assert f"{NATIVE}/api/show" not in {call.url for call in connection.asked[-1] if isinstance(call, Http)}


def test_who_depends_on_the_service_is_the_application_and_of_two_none() -> None:
    def user(name: str) -> dict[str, Any]:
        return box(
            name, service=name, path="app", image="app:1", **{"com.docker.compose.depends_on": "ollama:service_started:false"}
        )

    target = find(box("ollama", service="ollama", port="11434"), user("api"))
    assert target.application is not None
    assert target.application.source == "the container api depends on it"
    assert find(box("ollama", service="ollama", port="11434"), user("api"), user("web")).application is None


def test_relative_files_of_the_inventory_lie_in_the_projects_folder() -> None:
    variables = {"compose_files": ["a.yml", "D:\\b.yml"], "compose_dir": "C:\\dev\\My Project"}
    target = find(variables=variables)
    assert target.project is not None
    assert target.project.value == ComposeProject("myproject", ("C:\\dev\\My Project\\a.yml", "D:\\b.yml"), "C:\\dev\\My Project")
    assert target.project.source == "the variable compose_files and compose_dir"


def test_one_look_takes_three_exchanges_and_with_what_an_earlier_one_found_one() -> None:
    connection = Answering(runs=docker([box("ollama", service="ollama", port="11434")]), http=server("m"))
    hints: dict[str, Any] = {}
    for wanted in (3, 1, 1):  # the containers and the server, their records, .env
        look = connection.look(hints=hints)
        engine = CommandEngine(look, {})
        before = connection.round_trips
        assert Finder(look, {}, engine.containers, engine.first_calls).find().model is not None
        assert connection.round_trips - before == wanted


def place(**variables: object) -> HostInfo:
    return HostInfo("host", variables, windows=False, local=False, clock=SystemClock(), environment={})


def model_of(target: Target) -> str | None:
    return None if target.model is None else str(target.model.value)


def test_a_loaded_model_that_is_no_longer_stored_is_no_target() -> None:
    target = find(http=server("deleted:1b", stored=("mistral:7b", "phi3:3.8b")))
    assert (model_of(target), target.candidates, target.deleted) == (None, ("mistral:7b", "phi3:3.8b"), ("deleted:1b",))
    assert model_of(find(http=server("deleted:1b", "phi3:3.8b", stored=("mistral:7b", "phi3:3.8b")))) == "phi3:3.8b"


def test_of_two_loaded_models_none_is_chosen() -> None:
    target = find(http=server("mistral:7b", "phi3:3.8b"))
    assert (model_of(target), target.candidates) == (None, ("mistral:7b", "phi3:3.8b"))


def test_the_model_that_was_found_first_stays_the_target_when_it_is_unloaded_or_another_is_loaded() -> None:
    stored, kept = ("mistral:7b", "phi3:3.8b"), place()
    assert model_of(kept.remember(find(http=server("mistral:7b", stored=stored)))) == "mistral:7b"
    for now in ((), ("phi3:3.8b",), stored):
        target = kept.remember(find(http=server(*now, stored=stored)))
        assert (model_of(target), target.candidates) == ("mistral:7b", ())
    silent = kept.remember(find())  # the server restarts
    assert silent.endpoint is not None
    assert (model_of(silent), silent.endpoint.value) == ("mistral:7b", NATIVE)


def test_a_model_that_was_not_clear_is_chosen_as_soon_as_one_is() -> None:
    stored, kept = ("mistral:7b", "phi3:3.8b"), place()
    assert model_of(kept.remember(find(http=server(stored=stored)))) is None
    assert model_of(kept.remember(find(http=server("phi3:3.8b", stored=stored)))) == "phi3:3.8b"


def test_dotenv_that_names_another_model_than_before_changes_the_target_and_one_that_does_not_never() -> None:
    stored, url, kept = ("mistral:7b", "phi3:3.8b"), "http://127.0.0.1:11434", place()
    files = {"/srv/ai/.env": b"OLLAMA_MODEL=mistral:7b\n"}
    host = box("ollama", service="ollama", port="11434")
    assert model_of(kept.remember(find(host, http=server("phi3:3.8b", stored=stored, url=url), files=files))) == "phi3:3.8b"
    assert model_of(kept.remember(find(host, http=server(stored=stored, url=url), files=files))) == "phi3:3.8b"
    files["/srv/ai/.env"] = b"OLLAMA_MODEL=phi3:q3\n"
    assert model_of(kept.remember(find(host, http=server("phi3:3.8b", stored=stored, url=url), files=files))) == "phi3:q3"
    assert model_of(kept.remember(find(http=server(stored=stored)))) == "phi3:q3"  # the container is being recreated


def test_a_resumed_run_goes_on_with_the_target_of_its_first_process() -> None:
    kept = place()
    kept.restore_found({"model": Found("mistral:7b", "is loaded (/api/ps)")}, ())
    assert model_of(kept.remember(find(http=server(stored=("mistral:7b", "phi3:3.8b"))))) == "mistral:7b"
    named = place(model="phi3:3.8b")
    named.restore_found({"model": Found("mistral:7b", "is loaded (/api/ps)")}, ())
    found = find(http=server(stored=("mistral:7b", "phi3:3.8b")), variables=named.variables)
    assert model_of(named.remember(found)) == "phi3:3.8b"
