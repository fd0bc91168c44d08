from __future__ import annotations

from tests.support.leases import own_leases

__all__ = ["own_leases"]
