from __future__ import annotations

import pytest

from tests.model import LONG_RUN

from .random_crawls import search


@pytest.mark.filterwarnings("ignore::jogg_async.CatalogueChangedWarning")
async def test_every_random_crawl_ends_and_yields_each_received_track_once() -> None:
    assert await search(0, 30_000 if LONG_RUN else 1500) == []
