"""A fake service, and a cluster of real processes that read from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jogg_async.testing import FakeJogg

KEY = "fake-jogg-key"


@pytest.fixture
def fake(fake_jogg_env: FakeJogg) -> FakeJogg:
    return fake_jogg_env


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Start three workers, each a process with one thread, with the key of the fakes in its environment."""
    distributed: Any = pytest.importorskip("distributed")
    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": ":0", "silence_logs": 50}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JOGG_API_KEY", KEY)
        with distributed.LocalCluster(n_workers=3, **options) as cluster:
            yield cluster


@pytest.fixture
def client(cluster: Any) -> Iterator[Any]:
    distributed: Any = pytest.importorskip("distributed")
    with distributed.Client(cluster) as client:
        client.wait_for_workers(3)
        yield client
