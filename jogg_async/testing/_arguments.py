"""Checks of arguments, so that a mistake fails at the call and not while a request is served."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["checked_int", "checked_number"]


def checked_int(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Return `value` if it is an integer from `low` to `high` (`None`: no upper limit).

    Raises:
        TypeError: It is no integer; `True` and `False` are none.
        ValueError: It is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, not {value!r:.80}")
    _check_range(name, value, low, high)
    return value


def checked_number(name: str, value: Any, low: float, high: float | None = None) -> float:
    """Return `value` if it is a finite number from `low` to `high` (`None`: no upper limit).

    Raises:
        TypeError: It is neither an integer nor a float.
        ValueError: It is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {value!r:.80}")
    _check_range(name, value, low, high)
    return value


def _check_range(name: str, value: float, low: float, high: float | None) -> None:
    if not low <= value <= (math.inf if high is None else high) or value == math.inf:
        bounds = f"{low} or more" if high is None else f"{low} to {high}"
        raise ValueError(f"{name} must be {bounds}, not {value!r:.80}")
