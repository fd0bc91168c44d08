"""What can go wrong with an expression, each with the place of the text that holds it."""

from __future__ import annotations

from remediation.model.errors import RemediationError


class TemplateError(RemediationError):
    """An expression that cannot be evaluated: syntax, a filter's refusal, a forbidden attribute."""


class UndefinedVariable(TemplateError):
    """A name that has no value where it is used."""


class ConditionError(TemplateError):
    """A condition that is not true or false."""
