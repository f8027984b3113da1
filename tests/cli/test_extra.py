from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("missing", ["cyclopts", "rich"])
def test_without_the_cli_extra_one_sentence_names_it(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from jogg_async.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "The command line needs an extra: pip install 'jogg-async[cli]'\n"


def test_another_missing_module_is_not_blamed_on_the_cli_extra() -> None:
    code = "import sys; sys.modules['msgspec'] = None; from jogg_async.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "msgspec" in done.stderr
    assert "extra" not in done.stderr
