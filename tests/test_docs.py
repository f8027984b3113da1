"""Every Python block of the README and the docs runs, against a fake service."""

from __future__ import annotations

import asyncio
import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

import jogg_async

if TYPE_CHECKING:
    from jogg_async.testing import FakeJogg

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_the_example_runs(block: str, fake_jogg: FakeJogg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOGG_API_KEY", fake_jogg.api_key)
    monkeypatch.setenv("JOGG_BASE_URL", fake_jogg.url)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(block, "example", "exec"), names)
    for name, value in names.items():
        if name.startswith("test_"):
            asyncio.run(value(fake_jogg))
    if "make_app" in names:
        assert asyncio.run(first_title(names["make_app"]())) == fake_jogg.catalogue[20]["name"]


async def first_title(app: web.Application) -> str:
    """What the example's web app answers for its second page."""
    async with TestClient(TestServer(app)) as client, client.get("/music?page=2") as response:
        return str((await response.json())[0]["name"])


def test_the_examples_were_found() -> None:
    assert len(BLOCKS) >= 5


def test_every_public_name_is_in_the_reference() -> None:
    reference = (ROOT / "docs" / "reference.md").read_text()
    kit = importlib.import_module("jogg_async.testing")
    missing = [name for name in (*jogg_async.__all__, *kit.__all__) if not re.search(rf"\b{name}\b", reference)]
    assert missing == ["__version__"]
