"""One pager of a state machine: what may come of it, and what came."""

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

from .model import crawl, is_valid

Row = dict[str, Any]
Drift = Literal["ignore", "warn", "raise", "recrawl"]

FAILURES: Final = (ParameterError, RateLimitError, ServerError, TransportError)
"""What a request may end with that the fake lets fail."""


@attrs.define(eq=False)
class Consumer:
    """One pager, and what may come of it.

    Attributes:
        name: goes along with each of its requests.
        counts: counters of what happens.
        wanted: what it should yield, for each catalogue that it may have met.
    """

    name: str
    counts: collections.Counter[str]
    pager: TrackPager | None
    jogg: JoggSession
    concurrency: int
    page_size: int
    ordered: bool = True
    on_drift: Drift = "ignore"
    limit: int | None = None
    start_page: int = 1
    place: int = 0
    wanted: list[list[int]] = attrs.Factory(list[list[int]])
    found: list[int] = attrs.Factory(list[int])
    known: set[int] = attrs.Factory(set[int])
    rows: list[Row] = attrs.Factory(list[Row])
    started: bool = False
    ended: bool = False
    closed: bool = False
    reported: int = 0

    def meet(self, rows: list[Row]) -> None:
        """The catalogue is this from now on."""
        wanted = crawl(rows, self.page_size, start_page=self.start_page, place=self.place, limit=self.limit)
        self.wanted = [*self.wanted, wanted] if self.started else [wanted]
        self.rows = rows[(self.start_page - 1) * self.page_size :]
        self.known.update(row["id"] for row in rows if is_valid(row))

    async def step(self) -> bool:
        """One step; whether another one makes sense."""
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
            self.counts["errors"] += 1
            return True
        except JoggError:
            assert self.closed
            assert not self.ended
            return False
        assert {self.ended, self.closed, self.jogg.closed} == {False}
        self.counts["tracks"] += 1
        self.found.append(track.id)
        return True

    async def read_all(self) -> None:
        while await self.step():
            pass

    def end(self) -> None:
        """It said that this was all."""
        self.counts["ends"] += not self.ended
        self.ended = True
        self.check_end()

    def check(self, asked: list[int]) -> None:
        """What holds at any time.

        Args:
            asked: the pages that it asked for.
        """
        assert len(self.found) == len(set(self.found))
        assert set(self.found) <= self.known
        if self.ordered and len(self.wanted) == 1:
            assert self.found == self.wanted[0][: len(self.found)]
        elif len(self.wanted) == 1:
            assert set(self.found) <= set(self.wanted[0])
        if self.pager is None:
            return
        progress = self.pager.progress
        assert progress.tracks == len(self.found)
        assert progress.requests >= len(asked)
        assert progress.requests >= progress.retries
        if self.on_drift != "recrawl" and asked:
            assert max(asked) - self.pager.checkpoint()["page"] <= 16 * self.concurrency + 16

    def check_end(self) -> None:
        """What holds where all was yielded."""
        assert self.pager is not None
        progress = self.pager.progress
        self.counts["drifted"] += progress.drifted
        found = self.found if self.ordered else sorted(self.found)
        wanted = self.wanted if self.ordered else [sorted(each) for each in self.wanted]
        if len(wanted) == 1 or not progress.drifted:
            assert found in wanted
        elif self.on_drift == "recrawl" and self.limit is None:
            assert set(found) >= set(wanted[0])
        if self.on_drift == "raise":
            assert self.reported == progress.drifted
        if len(wanted) == 1 and self.on_drift != "recrawl" and self.limit is None:
            self.check_counts(progress)

    def check_counts(self, progress: Progress) -> None:
        """What a crawl in one pass to the end counted, over a catalogue that stood still."""
        numbers = [row["id"] for row in self.rows if is_valid(row)]
        assert progress.duplicates == len(numbers) - len(set(numbers))
        assert progress.invalid == len(self.rows) - len(numbers)
        assert progress.pages_done == max(1, -(-len(self.rows) // self.page_size))
