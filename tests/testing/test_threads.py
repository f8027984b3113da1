"""State shared by the thread of the test and that of the server."""

from __future__ import annotations

import contextlib
import itertools
import random
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from jogg_async.testing import Catalogue, FakeJogg, RecordedRequest
from jogg_async.testing._endpoint import FakeResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from .conftest import Fetch


@pytest.fixture
def thread_switches() -> Iterator[None]:
    """Switch threads before a random third of the lines of `jogg_async.testing`, so that a race soon shows."""
    draw = random.Random(0).random

    def trace(frame: FrameType, _: str, __: object) -> Callable[..., Any] | None:
        if "/jogg_async/testing/" not in frame.f_code.co_filename.replace("\\", "/"):
            return None
        if draw() < 0.3:  # by chance, so that the threads do not run in lockstep
            time.sleep(0)
        return trace

    before = sys.gettrace()
    threading.settrace(trace)
    sys.settrace(trace)
    yield
    sys.settrace(before)
    threading.settrace(before)


def run_beside(server: Callable[[], object], test: Callable[[], object]) -> None:
    """Repeat `test` in this thread until `server` has ended in another; raise the exception of either."""
    errors: list[BaseException] = []

    def serve() -> None:
        try:
            server()
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        while thread.is_alive():
            test()
    finally:
        thread.join()
    assert errors == []


def received(page: int) -> RecordedRequest:
    return RecordedRequest(time.monotonic(), "GET", "/v2/musics", {}, {}, page, 10)


@pytest.mark.usefixtures("thread_switches")
def test_faults_changes_and_counters_can_be_edited_while_the_server_uses_them() -> None:
    fake, made = FakeJogg(0), list[Catalogue]()
    rejection = FakeResponse(429, b"", code=429)

    def server() -> None:
        for page in range(1, 150):
            request = received(page)
            fake._log.request_started(request)
            fake._faults.take(request)
            fake._changes.page_sent(fake.catalogue)
            fake._log.response_sent(request, rejection)
            fake._log.request_ended()

    def test() -> None:
        for _ in range(3):
            fake.fail(500, times=None)
            fake.mutate_after(1, made.append, repeat=True)
            fake.mutate_after(1, made.append)
        assert all(page for page in fake.pages)
        with fake._lock:
            assert fake.max_in_flight >= fake.in_flight
            assert abs(fake.refused - len(fake.requests)) <= 1
        fake.clear()

    run_beside(server, test)
    fake.clear()
    assert (fake.requests, fake.refused, fake.in_flight, fake.max_in_flight) == ([], 0, 0, 0)
    assert made


@pytest.mark.usefixtures("thread_switches")
def test_response_code_is_recorded_before_its_status() -> None:
    fake, requests = FakeJogg(0), [received(page) for page in range(50)]
    torn: list[RecordedRequest] = []

    def server() -> None:
        for request in requests:
            fake._log.response_sent(request, FakeResponse(500, b"", code=50000))

    def test() -> None:
        torn.extend(request for request in requests if request.status is not None and request.code is None)

    run_beside(server, test)
    assert torn == []


@pytest.mark.usefixtures("thread_switches")
def test_catalogue_can_be_edited_from_both_threads() -> None:
    catalogue, ids = Catalogue(2), list[int]()

    def edit() -> None:
        (track_id,) = catalogue.insert(1)
        ids.append(track_id)
        assert 1 <= catalogue.index(track_id) <= 2
        assert len(catalogue) in (3, 4)
        catalogue.remove_ids(track_id)

    def server() -> None:
        for _ in range(10):
            edit()

    run_beside(server, edit)
    assert [row["id"] for row in catalogue] == [1, 2]
    assert len(set(ids)) == len(ids)


def test_running_fake_can_be_controlled_and_observed_from_the_test_thread() -> None:
    with FakeJogg(30) as fake:

        def client() -> None:
            for page in range(1, 100):
                request = urllib.request.Request(
                    f"{fake.url}/v2/musics?page={page % 3 + 1}", headers={"x-api-key": fake.api_key}
                )
                with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request) as response:
                    assert response.read()

        numbers = itertools.count()

        def test() -> None:
            fake.on_request = None if next(numbers) % 2 else lambda _: None
            fake.fail(500, page=2)
            fake.mutate_after(1, lambda catalogue: catalogue.insert())
            fake.mutate_after(2, lambda catalogue: catalogue.remove())
            assert set(fake.pages) <= {1, 2, 3}
            assert 0 <= fake.in_flight <= fake.max_in_flight + 1
            assert fake.open_connections <= fake.connections
            fake.clear()
            time.sleep(0.001)  # leave the processor to the server: each change makes its catalogue longer

        run_beside(client, test)
    assert fake.connections == 99


def test_catalogue_change_that_waits_for_the_test_thread_does_not_block_the_fake() -> None:
    entered, leave = threading.Event(), threading.Event()
    changed: list[int] = []

    def wait(_: Catalogue) -> None:
        entered.set()
        assert leave.wait(10)
        changed.append(fake.catalogue.insert()[0])

    def send_request() -> None:
        request = urllib.request.Request(f"{fake.url}/v2/musics", headers={"x-api-key": fake.api_key})
        with urllib.request.urlopen(request) as response:
            assert response.status == 200

    with FakeJogg(3) as fake:
        fake.mutate_after(1, wait)
        thread = threading.Thread(target=send_request)
        thread.start()
        assert entered.wait(10)
        # The change holds no lock: all this must not wait for it.
        fake.fail(500)
        fake.mutate_after(5, print)
        assert fake.pages == [1]
        fake.clear()
        leave.set()
        thread.join()
    assert changed == [4]


async def test_fake_in_a_thread_restarts_in_a_thread(fetch: Fetch) -> None:
    with FakeJogg(3) as fake:
        await fetch(fake)
        await fake.close()
        assert fake.open_connections == 0
        threads: list[threading.Thread] = []
        fake.on_request = lambda _: threads.append(threading.current_thread())
        assert await fake.start() is fake
        assert (await fetch(fake)).status == 200
        assert threads != [threading.current_thread()]
        assert fake.connections == 2
    assert not threads[0].is_alive()


async def test_fake_entered_by_with_can_later_serve_from_the_event_loop(fetch: Fetch) -> None:
    with FakeJogg(3) as fake:
        await fetch(fake)
    async with fake:
        names: list[str] = []
        fake.on_request = lambda _: names.append(threading.current_thread().name)
        assert (await fetch(fake)).status == 200
    assert names == [threading.current_thread().name]
