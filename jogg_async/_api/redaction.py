"""Redaction of the API key in errors, logs and tracebacks."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Final, SupportsIndex
from urllib.parse import quote

from jogg_async.errors import shorten

_MASK = "***"
_SHORTEST: Final = 8
_ESCAPES: Final[tuple[Callable[[str], str], ...]] = (
    lambda text: json.dumps(text)[1:-1],  # and repr of a text without double quotes
    lambda text: text.replace("\\", "\\\\").replace("'", "\\'"),  # repr of a text with double quotes
    lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    lambda text: quote(text, safe=""),
)


class Secret(str):
    """The API key as a string whose `repr` is ``'***'``. A request sends it unmasked.

    aiohttp keeps a `str` subclass in a request's headers up to the socket. So tracebacks with local variables, the
    `repr` of a request and debug logs show the mask.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{_MASK}'"

    def __getitem__(self, index: SupportsIndex | slice) -> Secret:
        return Secret(super().__getitem__(index))  # renderers cut long strings before they render them


def as_secret(key: object) -> Secret | None:
    """Return `key` as a `Secret`, which tracebacks do not show; a value that is no string becomes an empty one."""
    if key is None:
        return None
    return Secret(key) if isinstance(key, str) else Secret()


def redact(text: str, key: str) -> str:
    """Return `text` with the key masked, also where `repr`, JSON or a URL has escaped it.

    A key shorter than eight characters cannot be told from other text and is not searched for.
    """
    for spelling in _spellings(key):
        text = text.replace(spelling, _MASK)
    return text


@functools.lru_cache(maxsize=8)
def _spellings(key: str) -> tuple[str, ...]:
    found = {str(key)} if len(key) >= _SHORTEST else set[str]()
    for _ in range(2):  # a body with JSON may be rendered with `repr`
        found |= {escape(each) for each in found for escape in _ESCAPES}
    return tuple(sorted(found, key=len, reverse=True))


def short_repr(value: object, key: str = "") -> str:
    """Return a short rendering of a value for an error's text, with the API key masked before it is shortened."""
    try:
        text = redact(repr(value), key)
    except RecursionError:
        return f"a deeply nested {type(value).__name__}"
    except ValueError:  # an int of more digits than Python converts, see sys.set_int_max_str_digits
        return f"a very large {type(value).__name__}"
    return shorten(text, 80, 60)


def redact_error(error: BaseException, key: str) -> None:
    """Mask the key in an error's arguments and attributes. Numbers stay numbers.

    A server or proxy may have sent the key back. An object that is no string, such as the bytes or the headers of a
    response in a parser's error, is replaced by its masked `repr` if that contains the key.
    """
    error.args = tuple(_without(each, key) for each in error.args)
    for name, value in vars(error).items():
        setattr(error, name, _without(value, key))


def _without(value: object, key: str) -> object:
    if isinstance(value, str):
        return redact(value, key)
    if isinstance(value, int | float | None):
        return value
    rendered = repr(value)
    without = redact(rendered, key)
    return value if without == rendered else without
