"""The key, and how it is kept out of whatever people read."""

from __future__ import annotations

from typing import SupportsIndex

_MASK = "***"


class Secret(str):
    """The key: it goes over the wire as it is, and shows as ``***`` wherever a value is rendered with `repr`.

    A string, because that is what survives in a request's headers down to the socket, so that a traceback with
    local variables, a request's `repr` and a debug log show the mask.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{_MASK}'"

    def __getitem__(self, index: SupportsIndex | slice) -> Secret:
        return Secret(super().__getitem__(index))  # renderers cut long strings before they render them


def masked(key: object) -> Secret | None:
    """`key` as a `Secret`, so that no frame of ours holds it in the clear; what is no string becomes a blank one."""
    if key is None:
        return None
    return Secret(key) if isinstance(key, str) else Secret()


def redacted(text: str, key: str) -> str:
    """`text` without the key, neither as it is nor as `repr` would show it."""
    return text.replace(key, _MASK).replace(str.__repr__(key)[1:-1], _MASK) if key else text


def redacted_bytes(body: bytes, key: str) -> bytes:
    """`body` without the key."""
    return body.replace(key.encode(), _MASK.encode()) if key else body


def clean(error: BaseException, key: str) -> None:
    """Take the key out of an error's arguments and attributes: the other side may have echoed it."""
    error.args = tuple(_without(each, key) for each in error.args)
    for name, value in vars(error).items():
        setattr(error, name, _without(value, key))


def _without(value: object, key: str) -> object:
    if isinstance(value, str):
        return redacted(value, key)
    rendered = repr(value)  # a parser's error may hold the bytes or the headers that it stumbled over
    without = redacted(rendered, key)
    return value if without == rendered else without
