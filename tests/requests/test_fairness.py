"""Two thousand handlers of one web app share a session, and all of them progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model import LONG_RUN
from tests.soak.fairness import descriptors_for, first_end, measure_fairness, spread

if TYPE_CHECKING:
    from tests.conftest import MakeFake, MakeSession

HANDLERS = 2000 if LONG_RUN else 500
PAGES = 3
CONCURRENCY = 8


async def test_pagers_of_one_session_progress_evenly(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(PAGES * 5, jitter=0.004)
    with descriptors_for(HANDLERS) as size:
        fairness = await measure_fairness(make_session(fake, concurrency=CONCURRENCY), size, PAGES, page_size=5)
    assert fairness.found == [list(range(1, PAGES * 5 + 1))] * size
    asked = [int(seen.query["handler"]) for seen in fake.requests if "handler" in seen.query]
    assert len(fake.requests) == len(asked) + 1 == size * PAGES + 1
    assert spread(asked, size, PAGES) == 1
    assert fairness.spread <= 2
    # When the first pager ends, all others lack at most their last page, except for the requests in flight.
    last_round = (PAGES - 1) / PAGES - 2 * CONCURRENCY / (size * PAGES)
    assert first_end(asked, PAGES) >= last_round
    assert fairness.first_end >= last_round
    assert fairness.waited <= size + 2 * CONCURRENCY
    assert fake.max_in_flight == CONCURRENCY


def test_fairness_figures_are_computed_as_documented() -> None:
    alternating, one_by_one = [0, 1, 2, 2, 1, 0], [0, 0, 1, 1, 2, 2]
    assert (spread(alternating, 3, 2), first_end(alternating, 2)) == (1, 4 / 6)
    assert (spread(one_by_one, 3, 2), first_end(one_by_one, 2)) == (1, 2 / 6)
    assert spread([0, 0, 0, 1], 2, 4) == 3
