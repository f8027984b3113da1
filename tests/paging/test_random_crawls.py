from __future__ import annotations

import os

import pytest

from .random_crawls import search


@pytest.mark.filterwarnings("ignore::jogg_async.CatalogueChangedWarning")
async def test_every_random_crawl_ends_and_yields_each_received_track_once() -> None:
    count = int(os.environ.get("JOGG_RANDOM_CRAWLS", "1500"))
    assert await search(0, count) == []
