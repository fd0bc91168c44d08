"""``setup`` and ``gather_facts``: gather the facts of a host."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from remediation.engine.play.actions.program import environment_of, valid_environment
from remediation.engine.play.context.results import refused_result
from remediation.engine.play.context.task_context import TaskContext
from remediation.engine.step.attempts import outcome_of
from remediation.model.errors import HostError
from remediation.modules.result import ActionResult
from remediation.templating.templar import Scope

if TYPE_CHECKING:
    from remediation.playbook.flow_actions.reading import SetupFacts

PREFIX = "ansible_"


def setup(given: SetupFacts, site: TaskContext, scope: Scope) -> ActionResult:
    """Gather the facts. They are kept for the rest of the run; later plays do not gather them again."""
    if site.task.path.endswith(".facts") and site.host.gathered and given.gather_subset is None:
        return ActionResult(gathered=site.host.gathered)
    try:
        return ActionResult(gathered=facts_of_host(given, site, scope))
    except HostError as error:
        return refused_result(error, outcome_of(error))


def all_facts(site: TaskContext) -> dict[str, Any]:
    """Gather the facts of a play that does not say `gather_facts`."""
    from remediation.playbook.flow_actions.reading import SetupFacts

    return facts_of_host(SetupFacts(), site, site.scope())


def facts_of_host(given: SetupFacts, site: TaskContext, scope: Scope) -> dict[str, Any]:
    """Return the host's facts with the prefix ``ansible_``. Raises `HostError`, `UsageError`."""
    from remediation.facets.facts.gathering import chosen_subsets, gather_subsets, without_min

    words = _texts(given.gather_subset)
    subsets = chosen_subsets(words)
    endpoint = str(scope.render(scope["endpoint"])) if "endpoint" in scope else ""
    opened = site.open()
    found = gather_subsets(
        opened.access.connection,
        subsets,
        fact_path=given.fact_path or "",
        endpoint=endpoint,
        timeout=given.gather_timeout,
        environment=valid_environment(environment_of(site, scope, gathering=True), site, opened),
    )
    site.learn(found)
    facts: Mapping[str, Any] = {
        **{f"{PREFIX}{name}": value for name, value in without_min(words, found).items()},
        "gather_subset": words or ["all"],
        "module_setup": True,
    }
    patterns = [word for word in _texts(given.filter) if word and word != "*"]
    if not patterns:
        return dict(facts)
    return {name: value for name, value in facts.items() if any(_fits(name, pattern) for pattern in patterns)}


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or (name.startswith(PREFIX) and fnmatchcase(name.removeprefix(PREFIX), pattern))


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    parts = value if isinstance(value, list) else str(value).split(",")
    return [str(part).strip() for part in parts]
