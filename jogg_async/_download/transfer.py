"""The download of one track's file, with its retries."""

from __future__ import annotations

import asyncio
import random
from typing import Final

import attrs
from yarl import URL

from jogg_async._download.file_names import extension_for, file_name
from jogg_async._download.folder import Folder, Listing
from jogg_async._download.limits import FileTooLargeError, SizeLimits
from jogg_async._download.part_file import PartFile
from jogg_async._download.responses import (
    Partial,
    body_offset,
    check_response,
    file_size,
    range_headers,
    strong_validator,
)
from jogg_async._http.addresses import parse_url
from jogg_async._http.files import FileClient, FileResponse
from jogg_async._http.transfer_error import TransferError
from jogg_async.models import Track
from jogg_async.retry import RetryPolicy, next_wait

CONCURRENCY: Final = 8
"""Default number of files downloaded at once."""

TIMEOUT: Final = 30.0
"""Default number of seconds without any data after which an attempt fails."""

RETRY: Final = RetryPolicy(attempts=5, timeout=60.0, wait_max=10.0, max_retry_after=30.0)
"""Default retry policy of a file. It gives up sooner than a crawl: a second run tries again."""


@attrs.define(eq=False)
class Downloader:
    """State that the downloads of all files share.

    Attributes:
        received: bytes received so far, of all files and attempts.
    """

    client: FileClient
    folder: Folder
    listing: Listing
    limits: SizeLimits
    policy: RetryPolicy
    received: int = 0

    async def download(self, track: Track) -> None:
        """Download the file of a track, and retry transient failures.

        Raises:
            TransferError: the file cannot be downloaded.
            OSError: the folder cannot be written.
        """
        if not track.music_url:
            raise TransferError("the track has no music_url")
        transfer = Transfer(self, track, parse_url(track.music_url))
        attempts, waited = 0, 0.0
        while True:
            try:
                return await transfer.attempt()
            except TransferError as fault:
                attempts += 1
                wait = self._next_wait(fault, attempts, waited)
                if wait is None:
                    raise
            await asyncio.sleep(wait)
            waited += wait

    def _next_wait(self, fault: TransferError, attempts: int, waited: float) -> float | None:
        if not fault.transient:
            return None
        jitter = random.uniform(0, self.policy.wait_jitter)  # noqa: S311 (no secret)
        return next_wait(self.policy, attempts, waited, named=fault.retry_after, jitter=jitter, paused=0.0)


@attrs.define(eq=False)
class Transfer:
    """Download of one file."""

    _shared: Downloader
    _track: Track
    _url: URL

    async def attempt(self) -> None:
        """Request the file, or the rest of it, and store it.

        Raises:
            TransferError: this attempt failed. What was received stays as a partial file, unless the file is too large.
            OSError: the folder cannot be written.
        """
        self._shared.limits.check_left()
        folder = self._shared.folder
        part = PartFile(folder.path, self._track.id)
        try:
            await self._fetch(part)
        except FileTooLargeError:
            await folder.run(part.discard)
            raise
        finally:
            folder.submit(part.close)

    async def _fetch(self, part: PartFile) -> None:
        partial = await self._load(part)
        response, offset = await self._request(partial)
        try:
            check_response(response.status, response.headers, ranged=offset > 0)
            total = file_size(response.headers, offset)
            self._shared.limits.check_file(total or 0)
            await self._open(part, response, partial if offset else None, total)
            size = await self._receive(part, response, offset, total)
        finally:
            response.close()
        if size == 0 or (total is not None and size != total):
            problem = f"{size:,} of {total:,} bytes came" if total else "the file is empty"
            raise TransferError(problem, transient=True)
        await self._shared.folder.store(part, self._name(response))

    async def _load(self, part: PartFile) -> Partial | None:
        """Return what an earlier attempt or run stored of the file."""
        if self._track.id not in self._shared.listing.partial:
            return None
        partial = await self._shared.folder.run(part.load)
        return partial if partial is not None and partial.address == self._address else None

    @property
    def _address(self) -> str:
        return str(self._url.with_query(None))

    async def _request(self, partial: Partial | None) -> tuple[FileResponse, int]:
        """Return a response, and where its body begins in the file."""
        client = self._shared.client
        if partial is not None:
            response = await client.get(self._url, range_headers(partial))
            offset = body_offset(response.status, response.headers, partial)
            if offset is not None:
                return response, offset
            response.close()
        return await client.get(self._url, {}), 0

    async def _open(self, part: PartFile, response: FileResponse, resumed: Partial | None, total: int | None) -> None:
        if resumed is not None:
            await self._shared.folder.run(part.resume, resumed)
            return
        validator = strong_validator(response.headers)
        partial = None if validator is None else Partial(self._address, validator, 0, total)
        self._shared.listing.partial.add(self._track.id)
        await self._shared.folder.run(part.begin, partial)

    async def _receive(self, part: PartFile, response: FileResponse, offset: int, total: int | None) -> int:
        """Store the body; return the resulting size of the file."""
        shared, size = self._shared, offset
        reserved = 0 if total is None else total - offset
        shared.limits.take(reserved)
        try:
            while chunk := await response.read():
                size += len(chunk)
                shared.received += len(chunk)
                if total is None:
                    shared.limits.check_file(size)
                    shared.limits.take(len(chunk))
                reserved = max(0, reserved - len(chunk))
                await shared.folder.run(part.write, chunk)
        finally:
            shared.limits.give_back(reserved)
        return size

    def _name(self, response: FileResponse) -> str:
        media_type = response.headers.get("Content-Type", "")
        extension = extension_for(self._url.path, response.url.path, media_type=media_type)
        return file_name(self._track.id, self._track.name, extension)
