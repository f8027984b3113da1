"""One pager of the state machine, with the ids that it may yield and those that it has yielded."""

from __future__ import annotations

import collections
from typing import Any, Final, Literal

import attrs

from jogg_async import (
    CatalogueChangedError,
    JoggError,
    JoggSession,
    ParameterError,
    Progress,
    RateLimitError,
    ServerError,
    SessionClosedError,
    TrackPager,
    TransportError,
)

from .model import is_valid, sequential_crawl

Row = dict[str, Any]
Drift = Literal["ignore", "warn", "raise", "recrawl"]

FAILURES: Final = (ParameterError, RateLimitError, ServerError, TransportError)
"""Errors that the faults of the fake can cause."""


@attrs.define(eq=False)
class Consumer:
    """One pager, with the ids that it may yield and those that it has yielded.

    Attributes:
        name: name of the consumer, sent with each of its requests.
        counters: number of tracks, errors and ends over all consumers.
        expected: ids that it should yield, for each state of the catalogue since its start.
        known_ids: ids that were in the catalogue at any time.
        reported: number of `CatalogueChangedError` raised.
    """

    name: str
    counters: collections.Counter[str]
    pager: TrackPager | None
    jogg: JoggSession
    concurrency: int
    page_size: int
    ordered: bool = True
    on_drift: Drift = "ignore"
    limit: int | None = None
    start_page: int = 1
    place: int = 0
    expected: list[list[int]] = attrs.Factory(list[list[int]])
    yielded: list[int] = attrs.Factory(list[int])
    known_ids: set[int] = attrs.Factory(set[int])
    rows: list[Row] = attrs.Factory(list[Row])
    started: bool = False
    ended: bool = False
    closed: bool = False
    reported: int = 0

    def set_catalogue(self, rows: list[Row]) -> None:
        """Expect these rows as the catalogue from now on."""
        expected = sequential_crawl(
            rows, self.page_size, start_page=self.start_page, place=self.place, limit=self.limit
        )
        self.expected = [*self.expected, expected] if self.started else [expected]
        self.rows = rows[(self.start_page - 1) * self.page_size :]
        self.known_ids.update(row["id"] for row in rows if is_valid(row))

    async def step(self) -> bool:
        """Take one step; return False if the pager cannot go on."""
        assert self.pager is not None
        self.started = True
        try:
            track = await anext(self.pager)
        except StopAsyncIteration:
            self.end()
            return False
        except CatalogueChangedError:
            assert self.on_drift == "raise"
            self.reported += 1
            self.end()
            return False
        except SessionClosedError:
            assert self.jogg.closed
            assert not self.ended
            return False
        except FAILURES:
            assert not self.ended
            self.counters["errors"] += 1
            return True
        except JoggError:
            assert self.closed
            assert not self.ended
            return False
        assert {self.ended, self.closed, self.jogg.closed} == {False}
        self.counters["tracks"] += 1
        self.yielded.append(track.id)
        return True

    async def read_all(self) -> None:
        while await self.step():
            pass

    def end(self) -> None:
        """Record that the pager has ended, and check what it yielded."""
        self.counters["ends"] += not self.ended
        self.ended = True
        self.check_end()

    def check(self, requested: list[int]) -> None:
        """Check what must hold at any time.

        Args:
            requested: the pages that it has requested.
        """
        assert len(self.yielded) == len(set(self.yielded))
        assert set(self.yielded) <= self.known_ids
        if self.ordered and len(self.expected) == 1:
            assert self.yielded == self.expected[0][: len(self.yielded)]
        elif len(self.expected) == 1:
            assert set(self.yielded) <= set(self.expected[0])
        if self.pager is None:
            return
        progress = self.pager.progress
        assert progress.tracks == len(self.yielded)
        assert progress.requests >= len(requested)
        assert progress.requests >= progress.retries
        if self.on_drift != "recrawl" and requested:
            assert max(requested) - self.pager.checkpoint()["page"] <= 16 * self.concurrency + 16

    def check_end(self) -> None:
        """Check the tracks and the progress of a pager that has ended."""
        assert self.pager is not None
        progress = self.pager.progress
        self.counters["drifted"] += progress.drifted
        found = self.yielded if self.ordered else sorted(self.yielded)
        expected = self.expected if self.ordered else [sorted(each) for each in self.expected]
        if len(expected) == 1 or not progress.drifted:
            assert found in expected
        elif self.on_drift == "recrawl" and self.limit is None:
            assert set(found) >= set(expected[0])
        if self.on_drift == "raise":
            assert self.reported == progress.drifted
        if len(expected) == 1 and self.on_drift != "recrawl" and self.limit is None:
            self.check_counts(progress)

    def check_counts(self, progress: Progress) -> None:
        """Check the counts of a whole crawl in one pass over an unchanging catalogue."""
        numbers = [row["id"] for row in self.rows if is_valid(row)]
        assert progress.duplicates == len(numbers) - len(set(numbers))
        assert progress.invalid == len(self.rows) - len(numbers)
        assert progress.pages_done == max(1, -(-len(self.rows) // self.page_size))
