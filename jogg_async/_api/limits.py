"""Limits of the service."""

from __future__ import annotations

from typing import Final

MAX_PAGE_SIZE: Final = 100
"""Most tracks on a page (reference of ``GET /v2/musics``)."""

MIN_INT: Final = -(2**63)
MAX_INT: Final = 2**63 - 1
"""`MIN_INT` and `MAX_INT` are the bounds of the service's integers, which have 64 bits."""
