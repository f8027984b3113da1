"""Properties that make crawls fast, asserted by counts instead of times."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from jogg_async._api import decoding
from jogg_async._requests import page_fetcher

from .model import until

if TYPE_CHECKING:
    from .conftest import MakeFake, MakeSession


async def test_page_of_documented_fields_is_decoded_once_by_the_fast_path(
    make_fake: MakeFake, make_session: MakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []

    def counted(envelope: Any, number: int, **options: Any) -> Any:
        decoded.append(number)
        return decoding.decode_page(envelope, number, **options)

    def slow(*_: object) -> None:
        raise AssertionError("a page of documented fields was decoded field by field")

    monkeypatch.setattr(page_fetcher, "decode_page", counted)
    monkeypatch.setattr(decoding, "_decode_exactly", slow)
    fake = await make_fake(1000)
    assert len(await make_session(fake).tracks(page_size=50).collect()) == 1000
    assert sorted(decoded) == list(range(1, 21))


async def test_window_fills_before_the_consumer_takes_a_page(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(10_000)
    pager = make_session(fake, concurrency=2).tracks(page_size=10)
    await anext(pager)
    await until(lambda: len(fake.requests) >= 1 + 16 * 2 + 16, 10)
    await asyncio.sleep(0.05)
    assert len(fake.requests) == 1 + 16 * 2 + 16
    assert pager.progress.pages_done == 1
    await pager.aclose()


async def test_connections_are_opened_before_the_first_response(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(2500, latency=0.2)
    pager = make_session(fake, concurrency=6).tracks()
    first = asyncio.ensure_future(anext(pager))
    await until(lambda: fake.connections >= 4, 10)
    assert (len(fake.requests), first.done()) == (1, False)
    await first
    await pager.aclose()
    assert 4 <= fake.connections <= 6
