from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from jogg_async.testing import Catalogue, FakeJogg, RateLimit

if TYPE_CHECKING:
    from .conftest import Fetch


def ids(envelope: Any) -> list[int]:
    return [row["id"] for row in envelope["data"]["music"]]


async def test_page_response_is_as_documented(fetch: Fetch) -> None:
    async with FakeJogg(25) as fake:
        response = await fetch(fake, page=3, page_size=10)
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"
        assert list(response.json) == ["code", "msg", "data", "rid"]
        assert (response.json["code"], response.json["msg"]) == (0, "Success")
        assert response.json["data"] == {
            "music": fake.catalogue[20:],
            "pagination": {"page": 3, "page_size": 10, "total_items": 25, "total_pages": 3},
        }


async def test_default_page_is_1_with_10_tracks(fetch: Fetch) -> None:
    async with FakeJogg(25) as fake:
        response = await fetch(fake)
        assert ids(response.json) == list(range(1, 11))
        assert response.json["data"]["pagination"]["page_size"] == 10


async def test_all_pages_together_contain_the_whole_catalogue(fetch: Fetch) -> None:
    async with FakeJogg(250) as fake:
        pages = [(await fetch(fake, page=page, page_size=100)).json for page in (1, 2, 3)]
        assert [track_id for page in pages for track_id in ids(page)] == list(range(1, 251))


async def test_request_ids_are_unique_and_reproducible_by_seed(fetch: Fetch) -> None:
    rids = []
    for _ in range(2):
        async with FakeJogg(5, seed=3) as fake:
            rids.append([(await fetch(fake, page=page)).json["rid"] for page in (1, "x", 1)])
    assert rids[0] == rids[1]
    assert len(set(rids[0])) == 3
    assert all(re.fullmatch(r"[0-9a-f]{32}", rid) for rid in rids[0])


@pytest.mark.parametrize("page", [2**63, 10**30, 10**639])
async def test_very_large_page_number_returns_an_empty_page(fetch: Fetch, page: int) -> None:
    async with FakeJogg(25) as fake:
        data = (await fetch(fake, page=page)).json["data"]
        assert (data["music"], data["pagination"]["page"]) == ([], page)


async def test_page_number_with_thousands_of_digits_is_a_parameter_error(fetch: Fetch) -> None:
    async with FakeJogg(25) as fake:
        assert (await fetch(fake, page="9" * 5000)).json["code"] == 40000


@pytest.mark.parametrize(("null", "empty"), [(False, []), (True, None)])
async def test_page_past_the_end_is_empty(fetch: Fetch, null: bool, empty: Any) -> None:
    async with FakeJogg(25, null_when_empty=null) as fake:
        response = await fetch(fake, page=10**15, page_size=100)
        assert (response.json["code"], response.json["data"]["music"]) == (0, empty)
        assert response.json["data"]["pagination"]["total_pages"] == 1


async def test_empty_catalogue_has_zero_pages(fetch: Fetch) -> None:
    async with FakeJogg(0) as fake:
        data = (await fetch(fake)).json["data"]
    assert data == {"music": [], "pagination": {"page": 1, "page_size": 10, "total_items": 0, "total_pages": 0}}


async def test_filters_apply_to_rows_and_totals(fetch: Fetch) -> None:
    async with FakeJogg(2500, show_filters=True) as fake:
        data = (await fetch(fake, genre="ambient", mood="Calm", page_size=100)).json["data"]
        view = fake.catalogue.filtered(genre="Ambient", mood="Calm")
        assert data["pagination"]["total_items"] == len(view) > 0
        assert data["music"] == view[:100]
        assert {(row["genre"], row["mood"]) for row in data["music"]} == {("Ambient", "Calm")}


@pytest.mark.parametrize("key", [None, "wrong"])
async def test_missing_or_wrong_key_is_rejected_before_parameters_are_checked(fetch: Fetch, key: str | None) -> None:
    async with FakeJogg() as fake:
        response = await fetch(fake, key=key, page="x")
        assert (response.status, response.json["code"], response.json["data"]) == (401, 10105, None)
        assert len(response.json["rid"]) == 32
    async with FakeJogg(check_key=False) as fake:
        assert (await fetch(fake, key=key)).json["code"] == 0


async def test_api_key_can_be_set(fetch: Fetch) -> None:
    async with FakeJogg(api_key="s3same") as fake:
        assert (await fetch(fake, key="s3same")).status == 200


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
async def test_parameters_out_of_range_are_parameter_errors(fetch: Fetch, query: dict[str, Any]) -> None:
    async with FakeJogg() as fake:
        response = await fetch(fake, **query)
        assert (response.status, response.json["code"]) == (400, 40000)


async def test_first_value_of_a_repeated_parameter_counts(fetch: Fetch) -> None:
    async with FakeJogg(25) as fake:
        response = await fetch(fake, "/v2/musics?page=2&page=x&page_size=5&page_size=6")
        assert ids(response.json) == [6, 7, 8, 9, 10]
        assert fake.requests[0].query == {"page": "2", "page_size": "5"}


async def test_unknown_query_parameters_are_ignored(fetch: Fetch) -> None:
    async with FakeJogg() as fake:
        assert (await fetch(fake, sort="name")).json["code"] == 0


async def test_errors_can_be_sent_with_http_200(fetch: Fetch) -> None:
    async with FakeJogg(http_errors=False, error_rate=1.0) as fake:
        responses = [await fetch(fake), await fetch(fake, "/v2/other")]
        assert [(response.status, response.json["code"]) for response in responses] == [(200, 50000), (200, 10104)]


@pytest.mark.parametrize("path", ["/", "/v2/musics/", "/v1/musics", "/music/x.wav"])
async def test_unknown_paths_are_not_found(fetch: Fetch, path: str) -> None:
    async with FakeJogg() as fake:
        response = await fetch(fake, path)
        assert (response.status, response.json["code"]) == (404, 10104)


@pytest.mark.parametrize(("path", "allowed"), [("/v2/musics", "GET"), ("/music/1.wav", "GET, HEAD")])
async def test_wrong_methods_get_http_405(fetch: Fetch, path: str, allowed: str) -> None:
    async with FakeJogg() as fake:
        response = await fetch(fake, path, method="POST")
        assert (response.status, response.headers["Allow"], response.json["code"]) == (405, allowed, 40000)


async def test_fake_serves_given_rows_and_a_given_catalogue(fetch: Fetch) -> None:
    async with FakeJogg([{"id": 3, "name": "Ä", "bpm": 9}]) as fake:
        assert (await fetch(fake)).json["data"]["music"] == [{"id": 3, "name": "Ä", "bpm": 9}]
    async with FakeJogg(Catalogue(2, first_id=10, id_step=10)) as fake:
        assert ids((await fetch(fake)).json) == [10, 20]


async def test_catalogue_edits_show_in_the_next_response(fetch: Fetch) -> None:
    async with FakeJogg(3) as fake:
        await fetch(fake)
        fake.catalogue.insert()
        fake.catalogue.remove(-1)
        assert ids((await fetch(fake)).json) == [4, 1, 2]


async def test_mutate_after_changes_the_catalogue_after_successful_pages(fetch: Fetch) -> None:
    async with FakeJogg(6) as fake:
        fake.mutate_after(2, lambda catalogue: catalogue.insert())
        await fetch(fake, page="x")  # errors do not count
        pages = [ids((await fetch(fake, page=page, page_size=2)).json) for page in (1, 2, 3, 4)]
        assert pages == [[1, 2], [3, 4], [4, 5], [6]]


async def test_mutate_after_can_repeat_the_change(fetch: Fetch) -> None:
    async with FakeJogg(6) as fake:
        fake.mutate_after(1, lambda catalogue: catalogue.remove(), repeat=True)
        assert [ids((await fetch(fake, page_size=1)).json) for _ in range(3)] == [[1], [2], [3]]
        fake.clear()
        assert [ids((await fetch(fake, page_size=1)).json) for _ in range(2)] == [[4], [4]]
        with pytest.raises(ValueError, match="1 or more"):
            fake.mutate_after(0, lambda catalogue: catalogue.remove())


async def test_error_rate_fails_a_reproducible_share_of_requests(fetch: Fetch) -> None:
    outcomes = []
    for _ in range(2):
        async with FakeJogg(error_rate=0.3, seed=1) as fake:
            outcomes.append([(await fetch(fake)).json["code"] for _ in range(100)])
    assert outcomes[0] == outcomes[1]
    assert 15 < outcomes[0].count(50000) < 45


async def test_requests_beyond_the_rate_limit_get_code_429(fetch: Fetch) -> None:
    async with FakeJogg(rate_limit=RateLimit(rate=0.001, burst=2, retry_after=3.0)) as fake:
        responses = [await fetch(fake) for _ in range(3)]
        assert [response.status for response in responses] == [200, 200, 429]
        assert [response.headers["X-RateLimit-Remaining"] for response in responses] == ["1", "0", "0"]
        assert responses[2].headers["Retry-After"] == "3"
        assert responses[2].json["retryAfter"] == 3
        assert responses[2].json["msg"] == "Rate limit exceeded. Please try again later."
        assert fake.refused == 1
        assert (await fetch(fake, "/music/1.wav")).status == 200


async def test_rejections_can_be_sent_with_http_200(fetch: Fetch) -> None:
    async with FakeJogg(rate_limit=RateLimit(0.001, 1, http_status=200)) as fake:
        responses = [await fetch(fake) for _ in range(2)]
        assert [(response.status, response.json["code"]) for response in responses] == [(200, 0), (200, 429)]


async def test_requests_with_latency_run_concurrently(fetch: Fetch) -> None:
    async with FakeJogg(latency=0.1, jitter=0.01) as fake:
        started = time.perf_counter()
        await asyncio.gather(*(fetch(fake) for _ in range(20)))
        elapsed = time.perf_counter() - started
        assert 0.1 <= elapsed < 1.0
        assert fake.max_in_flight == 20
