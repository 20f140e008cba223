"""What may change in any release, or go: ``tesouro``, the platform that continues Monite's."""

from __future__ import annotations

__all__: list[str] = []
