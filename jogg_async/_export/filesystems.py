"""Local paths, and file systems under an address such as ``s3://bucket/music``, through fsspec (extra ``fsspec``)."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from urllib.request import url2pathname

from jogg_async.errors import ArgumentError

_FILE: Final = "file://"


def checked_address(argument: str, given: str | os.PathLike[str]) -> str:
    """Return a path or an address as text.

    Args:
        argument: the argument's name.
        given: its value.

    Raises:
        ArgumentError: it is empty, or bytes.
    """
    address = os.fspath(given)
    if not isinstance(address, str) or not address:
        raise ArgumentError(f"{argument} must be a path or an address, not {given!r:.80}.")
    return address


def local_path(address: str) -> Path | None:
    """Return the path that a path or a ``file://`` address names; `None` for every other address.

    Raises:
        ArgumentError: the address is a ``file://`` address that names another host.
    """
    if not address.startswith(_FILE):
        return None if "://" in address else Path(address)
    host, _, path = address.removeprefix(_FILE).partition("/")
    if host not in ("", "localhost"):
        raise ArgumentError(
            f"{address!r} names a file on the host {host!r}; the address of a local file begins with file:///."
        )
    return Path(url2pathname(f"/{path}"))  # with "?" and "#", which may be in the name of a file


def check_parent(path: Path) -> None:
    """Check that the folder in which a file or folder is to be made exists.

    Raises:
        FileNotFoundError: it does not.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} does not exist; create it first.")


def require_fsspec() -> Any:
    """Return the module fsspec.

    Raises:
        ImportError: it is not installed. The text names the extra.
    """
    try:
        return import_module("fsspec")
    except ImportError as fault:
        raise ImportError("An address needs fsspec: pip install 'jogg-async[fsspec]'.") from fault


def filesystem_at(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it.

    The file system is a new instance: a cached one might have another transaction open.

    Raises:
        ArgumentError: fsspec does not know the address.
        ImportError: fsspec, or the package it needs for the address, is not installed.
    """
    try:
        found: tuple[Any, str] = require_fsspec().core.url_to_fs(address, skip_instance_cache=True)
    except ValueError as error:
        raise ArgumentError(f"fsspec does not know the address {address!r}: {error}.") from error
    return found


@contextmanager
def named_errors(address: str) -> Generator[None]:
    """Add the address to the text of errors that lack it, such as "The specified bucket does not exist"."""
    try:
        yield
    except OSError as fault:
        if fault.errno is None:
            fault.args = (f"{address}: {fault}",)
        else:
            fault.filename = fault.filename or address
        raise
