"""How many layers fit: metadata, context, slots, cache type, free VRAM and release -> layers and bytes (facts/ollama 4)."""

from __future__ import annotations

from remediation.diagnosis.memory.fit import Fit, fit, needed_for_all
from remediation.diagnosis.memory.metadata import ModelMetadata, metadata, metadata_of

__all__ = ["Fit", "ModelMetadata", "fit", "metadata", "metadata_of", "needed_for_all"]
