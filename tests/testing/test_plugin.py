from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Runs a test file in a pytest of its own, warnings being errors."""
    installed = any(point.name == "jogg_async" for point in entry_points(group="pytest11"))
    plugin = () if installed else ("-p", "jogg_async.testing.plugin")

    def run(source: str, *args: str, runner: str = "none") -> pytest.RunResult:
        pytester.makepyfile(source)
        # No asyncio plugin but the one that a test asks for: what is shown here must not depend on any.
        others = [f"-pno:{name}" for name in ("asyncio", "anyio", "cacheprovider") if name != runner]
        return pytester.runpytest_subprocess(*plugin, *others, "-W", "error", "--strict-markers", *args)

    return run


SYNC = """
    import json, threading, urllib.request
    import pytest

    pytestmark = pytest.mark.fake_jogg(tracks=7, api_key="of-the-module")

    def fetch(fake):
        request = urllib.request.Request(f"{fake.url}/v2/musics", headers={"x-api-key": fake.api_key})
        with urllib.request.urlopen(request) as response:
            return json.load(response)["data"]["pagination"]["total_items"]

    def test_module_marker(fake_jogg):
        assert fetch(fake_jogg) == 7
        assert fake_jogg.requests[0].headers["x-api-key"] == "of-the-module"

    @pytest.mark.fake_jogg(tracks=3)
    class TestMarked:
        def test_class_marker(self, fake_jogg):
            assert fetch(fake_jogg) == 3
            assert fake_jogg.api_key == "of-the-module"

        @pytest.mark.fake_jogg(tracks=[])
        def test_own_marker(self, fake_jogg):
            assert fetch(fake_jogg) == 0

    def test_fresh(fake_jogg):
        assert fake_jogg.requests == []

    def test_nothing_is_left():
        assert threading.active_count() == 1
"""


def test_each_sync_test_gets_a_new_fake_with_the_settings_of_its_marker(run: Run) -> None:
    run(SYNC).assert_outcomes(passed=5)


def test_positional_marker_arguments_are_an_error(run: Run) -> None:
    result = run("""
        import pytest

        @pytest.mark.fake_jogg(7)
        def test(fake_jogg): pass
    """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines("*takes keyword arguments*")


def test_exception_of_on_request_fails_the_test(run: Run) -> None:
    result = run("""
        import urllib.request, urllib.error

        def test(fake_jogg):
            fake_jogg.on_request = lambda seen: 1 / 0
            try:
                urllib.request.urlopen(fake_jogg.url)
            except urllib.error.HTTPError as error:
                error.close()
    """)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines("*ZeroDivisionError*")


def test_unused_plugin_imports_and_prints_nothing(run: Run) -> None:
    result = run(
        """
        import sys

        def test():
            assert "jogg_async.testing.plugin" in sys.modules
            assert not {"aiohttp", "attrs", "jogg_async.testing._fake"} & set(sys.modules)
        """,
        "-pno:hypothesispytest",
        "--no-header",  # it lists every plugin that is installed
    )
    result.assert_outcomes(passed=1)
    assert "jogg" not in result.stdout.str().replace("test_unused_plugin_imports_and_prints_nothing", "")
    assert not result.stderr.str()


SESSION = """
    import asyncio, gc
    import pytest

    pytestmark = pytest.mark.fake_jogg(tracks=250)
    coroutine = {mark}

    @coroutine
    async def test_entered(jogg_session, fake_jogg):
        async with jogg_session as jogg:
            assert [track.id async for track in jogg.tracks()] == list(range(1, 251))
        assert fake_jogg.pages == [1, 2, 3]

    @coroutine
    async def test_not_entered(jogg_session):
        async for track in jogg_session.tracks():
            assert track.id == 1
            break

    @pytest.mark.parametrize("number", [1, 2])
    @coroutine
    async def test_one_page(jogg_session, number):
        page = await jogg_session.page(number)
        assert len(page.tracks) == 10

    class TestInAClass:
        @coroutine
        async def test_method(self, jogg_session):
            assert await jogg_session.count() == 250

    def test_loop_of_its_own(jogg_session):
        async def main():
            async with jogg_session as jogg:
                assert await jogg.count() == 250
        asyncio.run(main())

    def test_unused(jogg_session):
        gc.collect()
"""

FUNCTION_SCOPE = "-oasyncio_default_fixture_loop_scope=function"


@pytest.mark.parametrize(
    ("runner", "mark", "options"),
    [
        ("asyncio", "lambda test: test", ["-oasyncio_mode=auto", FUNCTION_SCOPE]),
        ("asyncio", "pytest.mark.asyncio", ["-oasyncio_mode=strict", FUNCTION_SCOPE]),
        ("anyio", "pytest.mark.anyio", []),
    ],
    ids=["asyncio-auto", "asyncio-strict", "anyio"],
)
def test_jogg_session_works_with_any_asyncio_plugin_and_is_closed(
    run: Run, pytester: pytest.Pytester, runner: str, mark: str, options: list[str]
) -> None:
    pytest.importorskip("anyio" if runner == "anyio" else "pytest_asyncio")
    pytester.makeconftest("""
        import pytest

        @pytest.fixture
        def anyio_backend():
            return "asyncio"
    """)
    run(SESSION.format(mark=mark), *options, runner=runner).assert_outcomes(passed=7)
