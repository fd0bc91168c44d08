"""How many layers fit: metadata, context, slots, cache type, free VRAM and release -> layers and bytes (facts/ollama 4)."""

from __future__ import annotations

from remediation.diagnosis.memory.fit import Fit, Parts, fit, fit_parts, vram_for_all_layers
from remediation.diagnosis.memory.metadata import ModelMetadata, metadata, metadata_of

__all__ = ["Fit", "ModelMetadata", "Parts", "fit", "fit_parts", "metadata", "metadata_of", "vram_for_all_layers"]
