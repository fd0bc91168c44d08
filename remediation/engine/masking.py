"""The masker, under the name by which the engine and its users know it (`remediation.model.masking`)."""

from __future__ import annotations

from remediation.model.masking import MASK, SHORTEST, Masker

__all__ = ["MASK", "SHORTEST", "Masker"]
