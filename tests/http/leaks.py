"""Search for a secret in everything that an error, a log record or an error tracker would show."""

from __future__ import annotations

import asyncio
import io
import logging
import pickle
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final

from rich.console import Console
from rich.traceback import Traceback

_DEPTH: Final = 4
_OPAQUE: Final = (type, ModuleType, FunctionType, MethodType, asyncio.AbstractEventLoop, logging.Logger)


async def caught(work: Awaitable[object]) -> BaseException:
    """Await `work` and return its exception. Its traceback leaves out the frames of the test, which hold the key."""
    try:
        await work
    except BaseException as error:  # noqa: BLE001 (cancellation too)
        return error
    raise AssertionError("no error")


def caught_from_call(work: Callable[[], object]) -> BaseException:
    """Call a synchronous function and return its exception."""
    try:
        work()
    except BaseException as error:  # noqa: BLE001
        return error
    raise AssertionError("no error")


def leaks(error: BaseException, key: str) -> list[str]:
    """Return the names of the renderings of an error that contain the key."""
    return [name for name, text in _renderings(error) if key in text]


def leaks_in_log(records: Iterable[logging.LogRecord], key: str) -> list[str]:
    """Return the log records that contain the key, in their text or in an attribute."""
    formatter = logging.Formatter("%(name)s %(message)s")
    return [
        f"{record.name}: {record.msg}"
        for record in records
        if key in formatter.format(record) or any(key in text for text in _texts(vars(record), 2, set()))
    ]


def holds(value: object, key: str) -> bool:
    """Return True if the `str` or `repr` of a value, or of anything in it, contains the key."""
    return key in str(value) or any(key in text for text in _texts(value, _DEPTH, set()))


def _renderings(error: BaseException) -> Iterator[tuple[str, str]]:
    for number, each in enumerate(_chain(error)):
        name = f"{number} {type(each).__name__}"
        yield f"{name} str", str(each)
        yield f"{name} args", "".join(map(str, each.args))
        yield f"{name} notes", repr(getattr(each, "__notes__", ""))
        yield from ((f"{name} holds", text) for text in _texts((each, each.args, vars(each)), _DEPTH, set()))
        yield f"{name} traceback", _plain(each)
        yield f"{name} traceback, rich", _rich(each, None)
        yield f"{name} traceback, rich, shortened", _rich(each, 80)
        yield from ((f"{name} frames", text) for text in _locals(each))
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        yield f"pickle {protocol}", pickle.dumps(error, protocol).decode("latin-1")


def _chain(error: BaseException) -> Iterator[BaseException]:
    pending: list[BaseException | None] = [error]
    known: list[BaseException] = []
    while pending:
        each = pending.pop()
        if each is not None and each not in known:
            known.append(each)
            pending += (each.__cause__, each.__context__)
            yield each


def _plain(error: BaseException) -> str:
    try:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    except AttributeError:  # raised by a `repr`; some Python versions do not catch it
        return ""


def _rich(error: BaseException, longest: int | None) -> str:
    console = Console(file=io.StringIO(), width=10_000)
    shown = Traceback.from_exception(
        type(error), error, error.__traceback__, show_locals=True, locals_max_length=1000, locals_hide_dunder=False
    )
    if longest is None:
        shown = Traceback(
            Traceback.extract(
                type(error),
                error,
                error.__traceback__,
                show_locals=True,
                locals_max_string=1_000_000,
                locals_hide_dunder=False,
            )
        )
    console.print(shown)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def _locals(error: BaseException) -> Iterator[str]:
    for frame, _ in traceback.walk_tb(error.__traceback__):
        yield from _texts(dict(frame.f_locals), _DEPTH, set())


def _texts(value: object, depth: int, known: set[int]) -> Iterator[str]:
    """Yield the `repr` of a value and of everything in it."""
    if id(value) in known or isinstance(value, _OPAQUE):
        return
    known.add(id(value))
    yield value.decode("latin-1") if isinstance(value, bytes | bytearray) else _shown(value)
    if depth and not isinstance(value, str | bytes | bytearray | int | float):
        for each in _parts(value):
            yield from _texts(each, depth - 1, known)


def _shown(value: object) -> str:
    try:
        return repr(value)
    except AttributeError:  # the object is only partly initialized
        return ""


def _parts(value: Any) -> list[object]:
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    found = [getattr(value, name, None) for name in slots]
    return [*found, *getattr(value, "__dict__", {}).values()]
