"""Save a crawl: write its tracks to the journal, then to the destination, and return a report."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

from jogg_async._paging.checkpoint import Checkpoint
from jogg_async._paging.crawl import Crawl
from jogg_async._paging.passes import History
from jogg_async.errors import ArgumentError, CatalogueChangedError, CatalogueChangedWarning, JoggError
from jogg_async.models import Track
from jogg_async.report import SaveReport

from .destination import Destination, destination
from .journal import Journal, JournalState, Plan
from .mirror import Changes, FinishedCrawl
from .worker import Worker

_BATCH: Final = 5000
"""Tracks of a batch. Smaller batches need more writes, larger ones more memory."""

_INTERVAL: Final = 1.0
"""Seconds after which a smaller batch is written, so that a killed process loses about a second of work."""


class Stopped(Exception):  # noqa: N818 (no error: the caller was cancelled)
    """Raised in the worker's thread to end a job whose caller was cancelled."""


async def save(crawl: Crawl, dest: str | os.PathLike[str], *, wanted: str | None, resume: bool) -> SaveReport:
    """Save the rest of a crawl.

    Args:
        crawl: the crawl.
        dest: path or address of the destination.
        wanted: its format; `None` to use the suffix of `dest`.
        resume: continue the journal, if there is one.

    Raises:
        ArgumentError: the format is unknown, or the journal belongs to another crawl.
        OSError: the journal or the destination cannot be written.
        ImportError: an extra is missing.
        JoggError: the crawl failed; the journal is kept.
    """
    if resume and not crawl.is_fresh:
        raise ArgumentError("resume=True needs a pager that has not been iterated over yet.")
    began, worker = time.monotonic(), Worker()
    try:
        # In the thread, since it may import pyarrow or fsspec, which takes long.
        found = await worker.run(partial(destination, dest, wanted))
        changes, state = await _save(crawl, found, worker, resume=resume)
    finally:
        worker.close()
    return SaveReport(
        tracks=state.tracks,
        pages=state.pages,
        new=changes.new,
        changed=changes.changed,
        gone=changes.gone,
        invalid=state.invalid,
        drifted=state.drifted,
        seconds=time.monotonic() - began,
    )


async def _save(crawl: Crawl, found: Destination, worker: Worker, *, resume: bool) -> tuple[Changes, JournalState]:
    opening = worker.start(partial(_open, crawl, found, resume=resume))
    try:
        journal = await worker.join(opening)
        changes, state = await Saving(crawl, found, journal, worker).run()
        await worker.run(journal.remove)
    except BaseException as error:
        if opening.exception() is None:
            await _close_journal(error, opening.result(), worker)
        raise
    return changes, state


async def _close_journal(error: BaseException, journal: Journal, worker: Worker) -> None:
    """Close the journal after an error, and add a note to the error on how to resume. Delete it if it has no tracks."""
    tracks = journal.state.tracks
    with contextlib.suppress(OSError):  # `error` is raised, not this one
        await worker.run(journal.close if tracks else journal.remove)
    if tracks and isinstance(error, JoggError | OSError | CatalogueChangedWarning):
        error.add_note(f"{tracks:,} tracks are kept in {journal.path}: {_advice(error)}")


def _advice(error: Exception) -> str:
    if isinstance(error, CatalogueChangedError):
        return "resume=True starts anew, but with another on_drift it saves them."
    return "resume=True continues there."


def _open(crawl: Crawl, found: Destination, *, resume: bool) -> Journal:
    found.check()
    plan = Plan(str(found.format), crawl.position().as_dict(), found.public_address)
    journal = Journal(found.journal, plan, resume=resume)
    try:
        _check_plan(plan, journal)
        if journal.state.drifted and crawl.options.on_drift == "raise":  # it would end with the same error
            journal.remove()
            return Journal(found.journal, plan, resume=resume)
    except BaseException:
        journal.close()
        raise
    return journal


def _check_plan(plan: Plan, journal: Journal) -> None:
    """Check that the journal belongs to the same crawl into the same destination and format.

    Raises:
        ArgumentError: it belongs to another one.
    """
    found = journal.plan
    if plan.address != found.address:
        other = found.address or str(journal.path).removesuffix(".partial")
        raise ArgumentError(
            f"{journal.path} is the journal of a save to {other}; resume that save first, or delete the journal."
        )
    asked, kept = ({"format": each.format} | each.start | each.start["filters"] for each in (plan, found))
    # Compare `page` last: it differs whenever `start_page` does, which is the better name for the message.
    for name in sorted([*asked, *kept], key=lambda name: name == "page"):
        if name != "filters" and asked.get(name) != kept.get(name):
            raise ArgumentError(
                f"{name}={asked.get(name)!r} contradicts the journal {journal.path}, which has {kept.get(name)!r};"
                " continue with the arguments of the interrupted crawl, or delete the journal."
            )


class Saving:
    """Save of a crawl through an open journal.

    Args:
        crawl: the crawl.
        destination: destination of the tracks.
        journal: journal of the destination, which only the worker's thread may use.
        worker: thread that writes the journal and the destination.
    """

    def __init__(self, crawl: Crawl, destination: Destination, journal: Journal, worker: Worker) -> None:
        self._crawl = crawl
        self._destination = destination
        self._journal = journal
        self._worker = worker
        self._base = journal.state
        """State of the journal when it was opened; the counts of this run are added to it."""
        self._pages = 0
        self._tracks = 0
        self._batch: list[Track] = []

    async def run(self) -> tuple[Changes, JournalState]:
        """Write the crawl to the journal, then to the destination. Return a mirror's changes and the last state."""
        if not self._base.complete:
            if self._base.pages:
                await self._move_crawl()
            await self._fill()
        changes = await self._worker.run(self._write)
        return changes, self._journal.state

    async def _move_crawl(self) -> None:
        """Move the crawl to the position after the last batch of the journal."""
        base, start = self._base, self._journal.plan.start
        began_at_first = (start["page"], start["place"]) == (1, 0)
        history = History(
            changed=base.changed,
            drifted=base.drifted,
            recrawls=base.recrawls,
            records=base.records,
            ordered=base.ordered and self._crawl.options.ordered,
            covers_all=start["start_page"] == 1 if base.recrawls else began_at_first,
        )
        await self._worker.run(lambda: [history.ids.add_all(ids) for ids in self._journal.ids()])
        self._crawl.resume_at(Checkpoint.from_dict(base.checkpoint), history)

    async def _fill(self) -> None:
        """Write the crawl's pages to the journal in batches. One batch is written while the next is received."""
        writing = self._worker.start(lambda: None)
        due = time.monotonic() + _INTERVAL
        try:
            while True:
                page = await self._crawl.next_page()
                self._batch += page.tracks
                self._pages += 1
                if len(self._batch) >= _BATCH or time.monotonic() >= due:
                    await self._worker.join(writing)
                    writing = self._append()
                    due = time.monotonic() + _INTERVAL
        except StopAsyncIteration:
            await self._worker.join(writing)
            await self._worker.join(self._append(complete=True))
        except BaseException:
            with contextlib.suppress(OSError):  # the error that ended the crawl is raised, not this one
                await self._worker.join(writing)
                if self._pages:
                    await self._worker.join(self._append())
            raise

    def _append(self, *, complete: bool = False) -> asyncio.Future[None]:
        """Start to write the received tracks as a batch, with the state after them."""
        batch, self._batch = self._batch, []
        self._tracks += len(batch)
        return self._worker.start(partial(self._write_batch, batch, self._state(complete=complete)))

    def _write_batch(self, batch: list[Track], state: JournalState) -> None:
        data = self._destination.encode(batch) if batch else b""
        self._journal.append([track.id for track in batch], data, state)

    def _state(self, *, complete: bool) -> JournalState:
        crawl, base = self._crawl, self._base
        return JournalState(
            checkpoint=crawl.position().as_dict(),
            tracks=base.tracks + self._tracks,
            pages=base.pages + self._pages,
            invalid=base.invalid + crawl.invalid,
            drifted=crawl.passes.drifted,
            changed=crawl.passes.changed,
            recrawls=crawl.passes.recrawls,
            records=crawl.pages.records,
            ordered=base.ordered and crawl.options.ordered,
            complete=complete,
        )

    def _write(self) -> Changes:
        journal = self._journal
        complete = _is_complete(journal.plan, journal.state)
        batches, ids = self._batches(), journal.ids()
        return self._destination.write(FinishedCrawl(journal.plan, journal.state, complete, batches, ids))

    def _batches(self) -> Iterator[bytes]:
        for data in self._journal.batches():
            if self._worker.stopped.is_set():
                raise Stopped
            if data:
                yield data


def _is_complete(plan: Plan, end: JournalState) -> bool:
    """Return whether a finished crawl received every track of its query. A mirror then marks the others as gone."""
    start, total = Checkpoint.from_dict(plan.start), end.checkpoint["total_items"]
    is_unbounded = (start.page, start.place, start.limit, start.end_page) == (1, 0, None, None)
    # Compare with the total, since a resumed unordered crawl does not notice missing records by itself.
    return is_unbounded and not end.drifted and not end.invalid and end.tracks >= (total or 0)
