from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from jogg_async.testing import Catalogue, FakeJogg, RateLimit

if TYPE_CHECKING:
    from .conftest import Asker


def ids(envelope: Any) -> list[int]:
    return [row["id"] for row in envelope["data"]["music"]]


async def test_a_page_looks_as_documented(ask: Asker) -> None:
    async with FakeJogg(25) as fake:
        reply = await ask(fake, page=3, page_size=10)
        assert reply.status == 200
        assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
        assert list(reply.json) == ["code", "msg", "data", "rid"]
        assert (reply.json["code"], reply.json["msg"]) == (0, "Success")
        assert reply.json["data"] == {
            "music": fake.catalogue[20:],
            "pagination": {"page": 3, "page_size": 10, "total_items": 25, "total_pages": 3},
        }


async def test_the_defaults_are_page_1_of_10(ask: Asker) -> None:
    async with FakeJogg(25) as fake:
        reply = await ask(fake)
        assert ids(reply.json) == list(range(1, 11))
        assert reply.json["data"]["pagination"]["page_size"] == 10


async def test_all_pages_together_are_the_catalogue(ask: Asker) -> None:
    async with FakeJogg(250) as fake:
        pages = [(await ask(fake, page=page, page_size=100)).json for page in (1, 2, 3)]
        assert [track_id for page in pages for track_id in ids(page)] == list(range(1, 251))


async def test_request_ids_are_new_each_time_and_the_same_for_a_seed(ask: Asker) -> None:
    rids = []
    for _ in range(2):
        async with FakeJogg(5, seed=3) as fake:
            rids.append([(await ask(fake, page=page)).json["rid"] for page in (1, "x", 1)])
    assert rids[0] == rids[1]
    assert len(set(rids[0])) == 3
    assert all(re.fullmatch(r"[0-9a-f]{32}", rid) for rid in rids[0])


@pytest.mark.parametrize("page", [2**63, 10**30, 10**639])
async def test_a_page_far_past_the_end_is_not_refused_for_its_digits(ask: Asker, page: int) -> None:
    async with FakeJogg(25) as fake:
        data = (await ask(fake, page=page)).json["data"]
        assert (data["music"], data["pagination"]["page"]) == ([], page)


async def test_a_page_of_more_digits_than_python_reads_is_refused(ask: Asker) -> None:
    async with FakeJogg(25) as fake:
        assert (await ask(fake, page="9" * 5000)).json["code"] == 40000


@pytest.mark.parametrize(("null", "empty"), [(False, []), (True, None)])
async def test_a_page_past_the_end_is_empty(ask: Asker, null: bool, empty: Any) -> None:
    async with FakeJogg(25, null_when_empty=null) as fake:
        reply = await ask(fake, page=10**15, page_size=100)
        assert (reply.json["code"], reply.json["data"]["music"]) == (0, empty)
        assert reply.json["data"]["pagination"]["total_pages"] == 1


async def test_an_empty_catalogue_has_no_pages(ask: Asker) -> None:
    async with FakeJogg(0) as fake:
        data = (await ask(fake)).json["data"]
    assert data == {"music": [], "pagination": {"page": 1, "page_size": 10, "total_items": 0, "total_pages": 0}}


async def test_filters_narrow_rows_and_totals(ask: Asker) -> None:
    async with FakeJogg(2500, show_filters=True) as fake:
        data = (await ask(fake, genre="ambient", mood="Calm", page_size=100)).json["data"]
        view = fake.catalogue.filtered(genre="Ambient", mood="Calm")
        assert data["pagination"]["total_items"] == len(view) > 0
        assert data["music"] == view[:100]
        assert {(row["genre"], row["mood"]) for row in data["music"]} == {("Ambient", "Calm")}


@pytest.mark.parametrize("key", [None, "wrong"])
async def test_the_key_is_checked_first(ask: Asker, key: str | None) -> None:
    async with FakeJogg() as fake:
        reply = await ask(fake, key=key, page="x")
        assert (reply.status, reply.json["code"], reply.json["data"]) == (401, 10105, None)
        assert len(reply.json["rid"]) == 32
    async with FakeJogg(check_key=False) as fake:
        assert (await ask(fake, key=key)).json["code"] == 0


async def test_the_key_can_be_chosen(ask: Asker) -> None:
    async with FakeJogg(api_key="s3same") as fake:
        assert (await ask(fake, key="s3same")).status == 200


@pytest.mark.parametrize(
    "query",
    [
        {"page": ""},
        {"page": 0},
        {"page": -1},
        {"page": "one"},
        {"page": "1.0"},
        {"page": "٣"},
        {"page_size": ""},
        {"page_size": 0},
        {"page_size": 101},
        {"page_size": "ten"},
    ],
)
async def test_parameters_out_of_range_are_refused(ask: Asker, query: dict[str, Any]) -> None:
    async with FakeJogg() as fake:
        reply = await ask(fake, **query)
        assert (reply.status, reply.json["code"]) == (400, 40000)


async def test_of_a_repeated_parameter_the_first_counts(ask: Asker) -> None:
    async with FakeJogg(25) as fake:
        reply = await ask(fake, "/v2/musics?page=2&page=x&page_size=5&page_size=6")
        assert ids(reply.json) == [6, 7, 8, 9, 10]
        assert fake.requests[0].query == {"page": "2", "page_size": "5"}


async def test_unknown_parameters_are_ignored(ask: Asker) -> None:
    async with FakeJogg() as fake:
        assert (await ask(fake, sort="name")).json["code"] == 0


async def test_errors_can_come_with_http_200(ask: Asker) -> None:
    async with FakeJogg(http_errors=False, error_rate=1.0) as fake:
        replies = [await ask(fake), await ask(fake, "/v2/other")]
        assert [(reply.status, reply.json["code"]) for reply in replies] == [(200, 50000), (200, 10104)]


@pytest.mark.parametrize("path", ["/", "/v2/musics/", "/v1/musics", "/music/x.wav"])
async def test_other_paths_are_not_found(ask: Asker, path: str) -> None:
    async with FakeJogg() as fake:
        reply = await ask(fake, path)
        assert (reply.status, reply.json["code"]) == (404, 10104)


@pytest.mark.parametrize(("path", "allowed"), [("/v2/musics", "GET"), ("/music/1.wav", "GET, HEAD")])
async def test_other_methods_are_not_allowed(ask: Asker, path: str, allowed: str) -> None:
    async with FakeJogg() as fake:
        reply = await ask(fake, path, method="POST")
        assert (reply.status, reply.headers["Allow"], reply.json["code"]) == (405, allowed, 40000)


async def test_given_rows_and_given_catalogues_are_served(ask: Asker) -> None:
    async with FakeJogg([{"id": 3, "name": "Ä", "bpm": 9}]) as fake:
        assert (await ask(fake)).json["data"]["music"] == [{"id": 3, "name": "Ä", "bpm": 9}]
    async with FakeJogg(Catalogue(2, first_id=10, id_step=10)) as fake:
        assert ids((await ask(fake)).json) == [10, 20]


async def test_edits_show_at_once(ask: Asker) -> None:
    async with FakeJogg(3) as fake:
        await ask(fake)
        fake.catalogue.insert()
        fake.catalogue.remove(-1)
        assert ids((await ask(fake)).json) == [4, 1, 2]


async def test_the_catalogue_changes_after_so_many_answers(ask: Asker) -> None:
    async with FakeJogg(6) as fake:
        fake.mutate_after(2, lambda catalogue: catalogue.insert())
        await ask(fake, page="x")  # an error is no answer that counts
        pages = [ids((await ask(fake, page=page, page_size=2)).json) for page in (1, 2, 3, 4)]
        assert pages == [[1, 2], [3, 4], [4, 5], [6]]


async def test_the_catalogue_can_change_again_and_again(ask: Asker) -> None:
    async with FakeJogg(6) as fake:
        fake.mutate_after(1, lambda catalogue: catalogue.remove(), repeat=True)
        assert [ids((await ask(fake, page_size=1)).json) for _ in range(3)] == [[1], [2], [3]]
        fake.clear()
        assert [ids((await ask(fake, page_size=1)).json) for _ in range(2)] == [[4], [4]]
        with pytest.raises(ValueError, match="1 or more"):
            fake.mutate_after(0, lambda catalogue: catalogue.remove())


async def test_a_share_of_requests_fails(ask: Asker) -> None:
    outcomes = []
    for _ in range(2):
        async with FakeJogg(error_rate=0.3, seed=1) as fake:
            outcomes.append([(await ask(fake)).json["code"] for _ in range(100)])
    assert outcomes[0] == outcomes[1]
    assert 15 < outcomes[0].count(50000) < 45


async def test_requests_over_the_limit_are_refused(ask: Asker) -> None:
    async with FakeJogg(rate_limit=RateLimit(rate=0.001, burst=2, retry_after=3.0)) as fake:
        replies = [await ask(fake) for _ in range(3)]
        assert [reply.status for reply in replies] == [200, 200, 429]
        assert [reply.headers["X-RateLimit-Remaining"] for reply in replies] == ["1", "0", "0"]
        assert replies[2].headers["Retry-After"] == "3"
        assert replies[2].json["retryAfter"] == 3
        assert replies[2].json["msg"] == "Rate limit exceeded. Please try again later."
        assert fake.refused == 1
        assert (await ask(fake, "/music/1.wav")).status == 200


async def test_refusals_can_come_with_http_200(ask: Asker) -> None:
    async with FakeJogg(rate_limit=RateLimit(0.001, 1, http_status=200)) as fake:
        replies = [await ask(fake) for _ in range(2)]
        assert [(reply.status, reply.json["code"]) for reply in replies] == [(200, 0), (200, 429)]


async def test_answers_with_latency_run_side_by_side(ask: Asker) -> None:
    async with FakeJogg(latency=0.1, jitter=0.01) as fake:
        started = time.perf_counter()
        await asyncio.gather(*(ask(fake) for _ in range(20)))
        elapsed = time.perf_counter() - started
        assert 0.1 <= elapsed < 1.0
        assert fake.max_in_flight == 20
