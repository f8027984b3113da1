"""Run every Python block of `docs/engines.md` against a fake service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("dlt")
pytest.importorskip("distributed")

if TYPE_CHECKING:
    from jogg_async.testing import FakeJogg

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
WITH_DLT, WITH_DASK, WITH_DOWNLOAD = BLOCKS


def run(block: str) -> None:
    exec(compile(block, "example", "exec"), {"__name__": "__main__"})


def test_the_dlt_example_loads_the_calm_tracks(
    fake_jogg_env: FakeJogg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path))
    run(WITH_DLT)
    calm = len(fake_jogg_env.catalogue.filtered(mood="Calm"))
    assert capsys.readouterr().out.splitlines()[-1] == f"{calm} calm tracks"


@pytest.mark.filterwarnings("ignore:Port 8787 is already in use")
def test_the_dask_example_sums_the_durations(fake_jogg_env: FakeJogg, capsys: pytest.CaptureFixture[str]) -> None:
    run(WITH_DASK)
    seconds = sum(row["duration"] for row in fake_jogg_env.catalogue.filtered(genre="Corporate"))
    assert capsys.readouterr().out == f"{seconds} seconds of music in 2 partitions\n"


@pytest.mark.filterwarnings("ignore:Port 8787 is already in use")
def test_the_download_example_fetches_twenty_files(
    fake_jogg_env: FakeJogg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run(WITH_DOWNLOAD)
    sizes = [path.stat().st_size for path in Path("music").iterdir()]
    assert capsys.readouterr().out == f"20 files, {sum(sizes)} bytes\n"
    assert len(sizes) == 20
