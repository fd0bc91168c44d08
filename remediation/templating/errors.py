"""Errors of expressions, each with the position of the text that holds it."""

from __future__ import annotations

from remediation.model.errors import RemediationError


class TemplateError(RemediationError):
    """An expression cannot be evaluated: invalid syntax, an error of a filter, a forbidden attribute.

    ``before_action`` is whether it is an error of a task's parameters: the task fails without ``failed_when`` and retries.
    """

    before_action = False


class UndefinedVariable(TemplateError):
    """A variable is used that has no value."""


class ConditionError(TemplateError):
    """A condition is neither true nor false."""
