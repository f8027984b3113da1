"""Limits of the service."""

from __future__ import annotations

from typing import Final

MAX_PAGE_SIZE: Final = 100
"""Most tracks on a page (reference of ``GET /v2/musics``)."""

MIN_INT: Final = -(2**63)
MAX_INT: Final = 2**63 - 1
"""Bounds of every integer: the service's have 64 bits."""
