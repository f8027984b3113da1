"""Local paths, and file systems under an address such as ``s3://bucket/music``, through fsspec (extra ``fsspec``)."""

from __future__ import annotations

import io
import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit
from urllib.request import url2pathname

from jogg_async.errors import ArgumentError

_READ_ONLY: Final = ("http", "https")
"""Protocols whose file systems in fsspec cannot write files."""

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
        ArgumentError: fsspec does not know the address, or cannot write there.
        ImportError: fsspec, or the package it needs for the address, is not installed.
        OSError: the file system cannot be reached. Some connect at once.
    """
    if urlsplit(address).scheme in _READ_ONLY:
        raise ArgumentError(f"fsspec can only read the address {address!r}, not write there.")
    fsspec = require_fsspec()
    with named_errors(address):
        try:
            found: tuple[Any, str] = fsspec.core.url_to_fs(address, skip_instance_cache=True)
        except ValueError as error:
            raise ArgumentError(f"fsspec does not know the address {address!r}: {error}.") from error
    return found


@contextmanager
def named_errors(address: str) -> Generator[None]:
    """Raise errors of a file system as `OSError` with the address, such as "The specified bucket does not exist".

    Arguments of the caller and missing packages are no such errors: their exceptions are raised unchanged.
    """
    try:
        yield
    except (ArgumentError, ImportError):
        raise
    except OSError as fault:
        if fault.errno is None:
            fault.args = (f"{address}: {fault}",)
        else:
            fault.filename = fault.filename or address
        raise
    except Exception as fault:
        raise OSError(": ".join(filter(None, (address, type(fault).__name__, str(fault))))) from fault


class Upload(io.RawIOBase):
    """File under an address, open for writing in a ``with`` block. It becomes visible if the block ends without error.

    Errors of the file system are raised as by `named_errors`; other errors of the block are raised unchanged.

    Args:
        address: the address.
    """

    _file: Any

    def __init__(self, address: str) -> None:
        self._address = address
        self._entered = ExitStack()
        self._has_failed = False

    def __enter__(self) -> Self:
        filesystem, path = filesystem_at(self._address)
        with named_errors(self._address), ExitStack() as entered:
            entered.enter_context(filesystem.transaction)
            self._file = entered.enter_context(filesystem.open(path, "wb"))
            self._entered = entered.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with named_errors(self._address):
            self._entered.__exit__(kind, error, traceback)

    def writable(self) -> bool:
        """Return true. Arrow asks for it."""
        return True

    def write(self, data: Any) -> int:
        """Write bytes. After an error they are discarded: a compressor may try again to write what it holds."""
        if self._has_failed:
            return len(data)
        self._has_failed = True
        with named_errors(self._address):
            written: int = self._file.write(data)
        self._has_failed = False
        return written

    def tell(self) -> int:
        """Return the number of bytes written so far. Arrow asks for it."""
        position: int = self._file.tell()
        return position
