from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Run a test file in a pytest process of its own, with warnings as errors."""
    installed = any(point.name == "jogg_async" for point in entry_points(group="pytest11"))
    plugin = () if installed else ("-p", "jogg_async.testing.plugin")

    def run(source: str, *args: str, runner: str = "none") -> pytest.RunResult:
        pytester.makepyfile(source)
        # No asyncio plugin but the one that a test asks for, so that no test depends on another by accident.
        others = [
            f"-pno:{name}" for name in ("asyncio", "anyio", "cacheprovider", "hypothesispytest") if name != runner
        ]
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
        "--no-header",  # it lists every plugin that is installed
    )
    result.assert_outcomes(passed=1)
    assert "jogg" not in result.stdout.str().replace("test_unused_plugin_imports_and_prints_nothing", "")
    assert not result.stderr.str()


SESSION = """
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

    @pytest.fixture
    def service(jogg_session):
        return jogg_session

    @coroutine
    async def test_through_another_fixture(service):
        assert await service.count() == 250
"""

SESSION_IN_SYNC_TESTS = """
    import asyncio, gc, threading, unittest
    import pytest
    from jogg_async import RetryPolicy

    pytestmark = pytest.mark.fake_jogg(tracks=250)

    def test_entered(jogg_session):
        async def main():
            async with jogg_session as jogg:
                assert await jogg.count() == 250
        asyncio.run(main())

    def test_not_entered(jogg_session):
        assert asyncio.run(jogg_session.count()) == 250

    def test_crawl_left_open(jogg_session, fake_jogg):
        async def main():
            pager = jogg_session.tracks(page_size=1)
            assert (await anext(pager)).id == 1
            return pager
        pager = asyncio.run(main())
        del pager

    def test_runner(jogg_session):
        with asyncio.Runner() as runner:
            assert runner.run(jogg_session.count()) == 250
            assert len(runner.run(jogg_session.page()).tracks) == 10

    def test_open_loop(jogg_session, request):
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(jogg_session.count()) == 250
        request.node.session.config.left_open = loop

    def test_open_loop_is_closed_after_its_session(request):
        request.node.session.config.left_open.close()

    def test_loop_in_another_thread(jogg_session):
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        assert asyncio.run_coroutine_threadsafe(jogg_session.count(), loop).result(10) == 250
        test_loop_in_another_thread.state = loop, thread

    def test_loop_in_another_thread_can_end():
        loop, thread = test_loop_in_another_thread.state
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def test_unused(jogg_session):
        pass

    def test_retries_without_waits(jogg_session, fake_jogg):
        fake_jogg.fail(500, times=3)
        assert asyncio.run(jogg_session.count()) == 250
        assert jogg_session._retry == RetryPolicy(wait_initial=0.0, wait_jitter=0.0)

    class TestUnittest(unittest.IsolatedAsyncioTestCase):
        @pytest.fixture(autouse=True)
        def _session(self, jogg_session):
            self.jogg = jogg_session

        async def test_entered(self):
            async with self.jogg as jogg:
                self.assertEqual(await jogg.count(), 250)

        async def test_not_entered(self):
            async for track in self.jogg.tracks():
                self.assertEqual(track.id, 1)
                break

        def test_sync(self):
            self.assertEqual(asyncio.run(self.jogg.count()), 250)

    def test_nothing_is_left_open(recwarn):
        gc.collect()
        assert not recwarn.list
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
    run(SESSION.format(mark=mark), *options, runner=runner).assert_outcomes(passed=6)


def test_jogg_session_is_closed_in_sync_tests_and_unittest(run: Run, pytester: pytest.Pytester) -> None:
    # Warnings of objects that are never closed come at garbage collection: they fail the test that runs then.
    pytester.makeconftest("""
        import gc
        import pytest

        @pytest.fixture(autouse=True)
        def collect():
            yield
            gc.collect()
    """)
    result = run(SESSION_IN_SYNC_TESTS)
    result.assert_outcomes(passed=14)
    assert "Unclosed" not in result.stdout.str() + result.stderr.str()


def test_session_made_by_the_code_under_test_connects_to_the_fake(run: Run) -> None:
    result = run("""
        import asyncio, os, subprocess, sys
        import pytest
        from jogg_async import JoggSession

        async def count():
            async with JoggSession() as jogg:
                return await jogg.count()

        @pytest.mark.fake_jogg(tracks=7, api_key="of-the-marker")
        def test_own_session(fake_jogg_env):
            assert asyncio.run(count()) == 7
            assert fake_jogg_env.requests[0].headers["x-api-key"] == "of-the-marker"

        @pytest.mark.fake_jogg(tracks=8)
        def test_same_fake(fake_jogg, fake_jogg_env):
            assert fake_jogg_env is fake_jogg

        def test_variables_are_gone():
            assert "JOGG_API_KEY" not in os.environ
            assert "JOGG_BASE_URL" not in os.environ
    """)
    result.assert_outcomes(passed=3)


def test_fast_retries_reach_code_that_makes_its_own_session(run: Run) -> None:
    result = run("""
        import asyncio, inspect
        import pytest
        from jogg_async import JoggSession, RetryPolicy, ServerError

        async def attempts(fake, **settings):
            fake.fail(500, times=None)
            async with JoggSession(**settings) as jogg:
                with pytest.raises(ServerError) as caught:
                    await jogg.count()
            return caught.value.attempts

        def default_policy():
            return inspect.signature(JoggSession).parameters["retry"].default

        def test_default_policy(fake_jogg_env, fast_jogg_retries):
            assert asyncio.run(attempts(fake_jogg_env)) == RetryPolicy().attempts
            assert default_policy() == fast_jogg_retries == RetryPolicy(wait_initial=0.0, wait_jitter=0.0)

        def test_policy_passed_by_the_code(fake_jogg_env, fast_jogg_retries):
            policy = RetryPolicy(attempts=2, wait_initial=0.01, wait_jitter=0.0)
            assert asyncio.run(attempts(fake_jogg_env, retry=policy)) == 2

        def test_default_is_back_afterwards():
            assert default_policy() == RetryPolicy()
    """)
    result.assert_outcomes(passed=3)
