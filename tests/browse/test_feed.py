"""The stream of tracks and states that the page shows."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from jogg_async import RetryPolicy
from jogg_async.browse import feed as feed_module
from jogg_async.browse.feed import Feeds
from jogg_async.browse.sources import LoadProgress, Query, ServiceSource, Suggestions
from jogg_async.testing import Fault

from .conftest import is_in_state, tracks_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jogg_async import JoggSession, Track
    from jogg_async.testing import FakeJogg
    from tests.conftest import MakeFake, MakeSession

    from .conftest import Client, Serve


async def test_the_stream_has_every_track_in_order_and_then_the_state(client: Client, fake: FakeJogg) -> None:
    messages = await client.messages(is_in_state("complete"))
    rows = [[str(row["id"]), row["name"], row["music_url"], row["duration"]] for row in fake.catalogue]
    assert tracks_of(messages) == rows
    assert messages[-1]["total"] == 250


async def test_ten_thousand_tracks_take_few_messages(
    make_fake: MakeFake, make_session: MakeSession, serve: Serve
) -> None:
    client = await serve(ServiceSource(make_session(await make_fake(10_000))))
    await client.messages(is_in_state("complete"))
    messages = await client.messages(is_in_state("complete"))
    assert len(tracks_of(messages)) == 10_000
    assert len(messages) <= 102


async def test_ids_are_texts_since_javascript_would_round_them(
    make_fake: MakeFake, make_session: MakeSession, serve: Serve
) -> None:
    fake = await make_fake([{"id": 2**63 - 1, "name": "Last"}])
    client = await serve(ServiceSource(make_session(fake)))
    assert tracks_of(await client.messages(is_in_state("complete"))) == [[str(2**63 - 1), "Last", None, None]]


async def test_genre_and_mood_are_filtered_by_the_service(client: Client, fake: FakeJogg) -> None:
    messages = await client.messages(is_in_state("complete"), genre="Jazz", mood="Calm")
    ids = [str(row["id"]) for row in fake.catalogue.filtered(genre="Jazz", mood="Calm")]
    assert [row[0] for row in tracks_of(messages)] == ids
    assert {request.query["genre"] for request in fake.requests} == {"Jazz"}


async def test_any_number_of_clients_share_one_crawl(client: Client, fake: FakeJogg) -> None:
    await asyncio.gather(*(client.messages(is_in_state("complete")) for _ in range(5)))
    assert sorted(page or 0 for page in fake.pages) == [1, 2, 3]


async def test_reconnected_client_receives_only_the_tracks_after_its_position(client: Client) -> None:
    first = await client.messages(is_in_state("complete"))
    rest = await client.messages(is_in_state("complete"), feed=first[0]["feed"], after=2)
    assert [row[0] for row in tracks_of(rest)] == [str(number) for number in range(201, 251)]


@pytest.mark.parametrize("after", ["x", "-1", "²", "99999999999999999999"])
async def test_stream_starts_at_the_first_track_for_an_invalid_position(client: Client, after: str) -> None:
    first = await client.messages(is_in_state("complete"))
    again = await client.messages(is_in_state("complete"), feed=first[0]["feed"], after=after)
    assert len(tracks_of(again)) == 250


async def test_stream_starts_at_the_first_track_for_an_unknown_feed_id(client: Client) -> None:
    messages = await client.messages(is_in_state("complete"), feed="another", after=2)
    assert len(tracks_of(messages)) == 250


async def test_failure_is_sent_with_its_reason_and_a_retry_continues_with_the_next_track(
    client: Client, fake: FakeJogg
) -> None:
    fake.fail(Fault.business(18020, rid="e" * 32), page=2)
    failed = await client.messages(is_in_state("failed"))
    assert len(tracks_of(failed)) == 100
    assert f"rid {'e' * 32}" in failed[-1]["reason"]
    assert failed[-1]["advice"] == "Top up the account's credit."
    assert (await client.get(client.address("/retry"), method="POST")).status == 204
    rest = await client.messages(is_in_state("complete"), feed=failed[0]["feed"], after=1)
    assert [row[0] for row in tracks_of(rest)] == [str(number) for number in range(101, 251)]
    assert rest[-1]["reason"] == ""


async def test_a_rate_limit_shows_the_seconds_still_to_wait(
    fake: FakeJogg, make_session: MakeSession, serve: Serve
) -> None:
    fake.fail(Fault.business(429, retry_after=40), times=None)
    client = await serve(ServiceSource(make_session(fake, retry=RetryPolicy())))
    (*_, paused) = await client.messages(is_in_state("paused"))
    assert 38 <= paused["seconds"] <= 42


async def test_change_of_the_catalogue_is_reported_and_a_reload_finds_every_track(
    client: Client, fake: FakeJogg
) -> None:
    fake.mutate_after(1, lambda catalogue: catalogue.remove(0))
    first = await client.messages(is_in_state("complete"))
    assert first[-1]["drifted"] is True
    await client.get(client.address("/retry"), method="POST")
    second = await client.messages(is_in_state("complete"), feed=first[0]["feed"], after=3)
    assert (len(tracks_of(second)), second[-1]["drifted"]) == (249, False)


async def test_invalid_records_are_left_out_and_counted(
    make_fake: MakeFake, make_session: MakeSession, serve: Serve
) -> None:
    fake = await make_fake([{"id": 1}, {"id": "two"}, {"id": 3}])
    client = await serve(ServiceSource(make_session(fake)))
    messages = await client.messages(is_in_state("complete"))
    assert [row[0] for row in tracks_of(messages)] == ["1", "3"]
    assert messages[-1]["invalid"] == 1


async def test_crawl_is_cancelled_after_the_last_client_disconnects(
    client: Client, fake: FakeJogg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "_GRACE", 0.05)
    fake.fail(Fault.stall(), page=3, times=None)
    await client.messages(lambda message: "tracks" in message)
    async with asyncio.timeout(5):
        while fake.in_flight:  # noqa: ASYNC110 (the fake tells nobody)
            await asyncio.sleep(0.01)


async def test_the_server_ends_its_streams_when_it_is_closed(client: Client) -> None:
    async with client.http.get(client.address("/tracks")) as response:
        await response.content.readline()
        async with asyncio.timeout(3):
            await client.server.__aexit__(None, None, None)
            await response.read()


async def test_the_key_is_in_no_response(make_fake: MakeFake, make_session: MakeSession, serve: Serve) -> None:
    key = "browse-key-that-must-stay-here"
    fake = await make_fake(250, api_key=key)
    fake.fail(Fault.business(10105, msg=f"bad key {key}"), page=3)
    client = await serve(ServiceSource(make_session(fake)))
    messages = await client.messages(is_in_state("failed"))
    bodies = [json.dumps(messages), *[(await client.get(client.address(path))).text for path in ("/", "/settings")]]
    assert not any(key in body for body in bodies)
    assert (await client.get(client.address("/audio/7"))).status == 200
    audio = next(request for request in fake.requests if request.path.startswith("/music/"))
    assert key not in str(audio.headers)


async def test_settings_sent_to_the_browser_have_the_filters_to_offer(serve: Serve, jogg: JoggSession) -> None:
    source = ServiceSource(jogg, "Demo", Suggestions(("Jazz",), ("Calm",)))
    client = await serve(source, Query(mood="Calm"))
    assert json.loads((await client.get(client.address("/settings"))).body) == {
        "name": "Demo",
        "genres": ["Jazz"],
        "moods": ["Calm"],
        "anyText": False,
        "genre": None,
        "mood": "Calm",
    }


class Broken:
    """A source with a programming error."""

    name = "broken"
    suggestions = Suggestions()
    progress = LoadProgress()

    def load(self, _: Query) -> Broken:
        return self

    async def next_batch(self) -> Sequence[Track] | None:
        raise ZeroDivisionError

    async def aclose(self) -> None:
        pass


async def test_an_unexpected_error_is_shown_and_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    client = await serve(Broken())
    (*_, failed) = await client.messages(is_in_state("failed"))
    assert "ZeroDivisionError" in failed["reason"]
    assert "loading tracks for the page failed" in caplog.text


async def test_oldest_complete_feed_is_closed_when_too_many_are_cached(jogg: JoggSession, fake: FakeJogg) -> None:
    feeds = Feeds(ServiceSource(jogg))

    async def load(mood: str) -> Any:
        with feeds.watched(Query(mood=mood)) as feed:
            while not feed.complete:
                await feed.changed.wait()
            return feed

    first = await load("0")
    assert await load("0") is first
    for number in range(1, 9):
        await load(str(number))
    assert first.closed
    assert await load("0") is not first
    await feeds.aclose()
