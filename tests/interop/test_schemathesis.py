"""Check the fake with schemathesis: it accepts and rejects requests as the OpenAPI description says."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest

from jogg_async.testing import Fault

if TYPE_CHECKING:
    from jogg_async.testing import FakeJogg

    from ..conftest import MakeFake  # noqa: TID252 (the tests are no package that is installed)

pytest.importorskip("schemathesis", reason="schemathesis is not installed")

MUSICS: Final = Path(__file__).with_name("musics.yaml")
CASES: Final = 150
BY_CODE_ALONE: Final = "negative_data_rejection,missing_required_header,ignored_auth"
BY_CHANCE: Final = "not_a_server_error,unsupported_method"


async def report_of(folder: Path, fake: FakeJogg, *, without: str = "") -> str:
    """Run schemathesis, which sends the same requests each time, and return its report."""
    options = ["--url", fake.url, "--header", f"x-api-key: {fake.api_key}", "--checks", "all", "--mode", "all"]
    amount = ["--seed", "1", "--max-examples", str(CASES), "--generation-database", "none", "--continue-on-failure"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run", str(MUSICS)),
        *(*options, *amount, "--suppress-health-check", "all", "--no-color"),
        *(("--exclude-checks", without) if without else ()),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    report = output.decode()
    assert process.returncode in (0, 1), report
    assert len(fake.requests) > CASES, report
    return report


@pytest.mark.parametrize(
    ("settings", "without"),
    [
        ({}, ""),
        ({"null_when_empty": True, "show_filters": True}, ""),
        ({"http_errors": False}, BY_CODE_ALONE),
        ({"error_rate": 0.3}, BY_CHANCE),
    ],
    ids=["as it is", "null and filters", "every failure with HTTP 200", "failing by chance"],
)
async def test_schemathesis_finds_no_flaw_in_the_fake(
    make_fake: MakeFake, tmp_path: Path, settings: dict[str, Any], without: str
) -> None:
    assert "No issues found" in await report_of(tmp_path, await make_fake(250, **settings), without=without)


async def test_invalid_requests_get_the_same_codes_with_and_without_http_errors(
    make_fake: MakeFake, tmp_path: Path
) -> None:
    fake, other = await make_fake(250), await make_fake(250, http_errors=False)
    await report_of(tmp_path, fake)
    async with aiohttp.ClientSession() as http:
        for seen in fake.requests:
            sent = {"x-api-key": seen.headers.get("x-api-key", "")}
            async with http.request(seen.method, other.url + seen.path, params=seen.query, headers=sent) as response:
                await response.read()
    assert [seen.code for seen in other.requests] == [seen.code for seen in fake.requests]


async def test_schemathesis_detects_that_the_key_is_not_checked(make_fake: MakeFake, tmp_path: Path) -> None:
    assert "API accepts requests without authentication" in await report_of(
        tmp_path, await make_fake(250, check_key=False)
    )


async def test_schemathesis_detects_a_page_number_of_the_wrong_type(make_fake: MakeFake, tmp_path: Path) -> None:
    fake = await make_fake(250)
    fake.fail(Fault.patch(lambda body: body["data"] and body["data"]["pagination"].update(page="1")), times=None)
    assert "Response violates schema" in await report_of(tmp_path, fake)
