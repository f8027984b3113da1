"""Cells of a notebook that are interrupted or repeated, and a second event loop, in a real kernel."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

pytest.importorskip("ipykernel")
manager = pytest.importorskip("jupyter_client.manager")

SET_UP = """
    import asyncio, gc, threading
    from jogg_async import JoggSession
    from jogg_async.testing import FakeJogg

    fake = FakeJogg(1000, latency=0.02)
    fake.__enter__()  # it serves in a thread of its own
    jogg = JoggSession(fake.api_key, base_url=fake.url, concurrency=2)
"""
SLOW = "print('running'); await jogg.tracks(page_size=2).collect({})"
LIST_TASKS = (
    "gc.collect(); await asyncio.sleep(0.1); [task for task in asyncio.all_tasks() if 'jogg_async' in repr(task)]"
)
"""Code of a cell that lists the tasks of the package that still run; tasks of the kernel are left out."""


@attrs.define
class Result:
    """Result of a cell.

    Attributes:
        error: name of the exception, if there was one.
        text: its message, or the value of the cell's last line.
        printed: standard output and standard error.
        data: the value in each MIME type.
    """

    error: str | None = None
    text: str = ""
    printed: str = ""
    data: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Kernel:
    """A running kernel."""

    process: Any
    client: Any

    def run(self, code: str, *, interrupt: bool = False) -> Result:
        """Run a cell; with `interrupt`, interrupt it once it has printed something."""
        result = Result()
        self.client.execute_interactive(
            textwrap.dedent(code),
            timeout=60,
            store_history=True,
            output_hook=lambda message: self._take(message, result, interrupt=interrupt),
        )
        return result

    def _take(self, message: dict[str, Any], result: Result, *, interrupt: bool) -> None:
        content: dict[str, Any] = message["content"]
        match message["msg_type"]:
            case "stream":
                if interrupt and not result.printed:
                    self.process.interrupt_kernel()
                result.printed += content["text"]
            case "execute_result":
                result.data = content["data"]
                result.text = result.data["text/plain"]
            case "error":
                result.error, result.text = content["ename"], content["evalue"]
            case _:
                pass


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    """Start a kernel with a fake and a session in it."""
    process, client = manager.start_new_kernel(kernel_name="python3")
    try:
        started = Kernel(process, client)
        assert started.run(SET_UP) == Result()
        yield started
    finally:
        client.stop_channels()
        process.shutdown_kernel(now=True)


@pytest.mark.parametrize("arguments", ["", "progress=True"])
def test_interrupted_cell_leaves_the_session_usable(kernel: Kernel, arguments: str) -> None:
    slow = SLOW.format(arguments)
    for _ in range(3):
        assert kernel.run(slow, interrupt=True).error in {"CancelledError", "KeyboardInterrupt"}
        assert kernel.run(LIST_TASKS).text == "[]"
    again = kernel.run(f"len(await jogg.tracks(limit=300).collect({arguments}))")
    assert (again.error, again.text) == (None, "300")


def test_pager_continues_after_an_interrupted_cell(kernel: Kernel) -> None:
    kernel.run("pager, seen = jogg.tracks(page_size=5), []")
    loop = """
        async for track in pager:
            seen.append(track.id)
            if len(seen) == 20:
                print("running")
    """
    assert kernel.run(loop, interrupt=True).error in {"CancelledError", "KeyboardInterrupt"}
    assert kernel.run(loop).error is None
    assert kernel.run("seen == [row['id'] for row in fake.catalogue]").text == "True"


def test_repeated_cell_leaves_no_warning_task_or_connection(kernel: Kernel) -> None:
    cell = """
        async with JoggSession(fake.api_key, base_url=fake.url) as jogg:
            async for track in jogg.tracks(page_size=10):
                break
            total = await jogg.count()
        gc.collect()
        total
    """
    for _ in range(5):
        assert kernel.run(cell) == Result(text="1000", data={"text/plain": "1000"})
    assert kernel.run(LIST_TASKS) == Result(text="[]", data={"text/plain": "[]"})


def test_repeated_cell_that_closes_no_session_leaves_no_task(kernel: Kernel) -> None:
    cell = "jogg = JoggSession(fake.api_key, base_url=fake.url); await jogg.tracks(limit=150).collect()"
    for _ in range(3):
        result = kernel.run(cell)
        assert (result.error, result.text) == (None, "<TrackList of 150 tracks>")
    assert kernel.run(f"await jogg.aclose(); del jogg; {LIST_TASKS}").text == "[]"


def test_second_event_loop_needs_a_session_of_its_own(kernel: Kernel) -> None:
    in_another_loop: Callable[[str], str] = """
        def work():
            try:
                found.append(asyncio.run({}))
            except Exception as error:
                found.append(error)

        found = []
        await jogg.count()
        thread = threading.Thread(target=work)
        thread.start()
        await asyncio.to_thread(thread.join)
        found[0]
    """.format
    refused = kernel.run(in_another_loop("jogg.count()"))
    assert refused.printed == ""
    assert "ConfigurationError('This JoggSession belongs to another event loop." in refused.text
    kernel.run("""
        async def count():
            async with JoggSession(fake.api_key, base_url=fake.url) as other:
                return await other.count()
    """)
    assert kernel.run(in_another_loop("count()")).text == "1000"
    assert kernel.run("await jogg.count()").text == "1000"


def test_objects_show_as_html_and_as_text(kernel: Kernel) -> None:
    tracks = kernel.run("await jogg.tracks(limit=3).collect()")
    assert tracks.text == "<TrackList of 3 tracks>"
    assert tracks.data["text/html"].count("<audio") == 3
    pager = kernel.run("jogg.tracks()")
    assert pager.text == "<TrackPager: 0 tracks, 0 of ? pages>"
    assert "await pager.collect()" in pager.data["text/html"]
    session = kernel.run("jogg")
    assert session.text.startswith("<JoggSession http://127.0.0.1:")
    assert "await jogg.count()" in session.data["text/html"]
