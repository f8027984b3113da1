"""Copies of the project in which faults are planted, and the tests run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

PACKAGE: Final = "jogg_async"
_NEEDED: Final = (PACKAGE, "tests", "docs", "README.md", "CHANGELOG.md", "pyproject.toml", "noxfile.py", ".ci")
_PYTEST: Final = ("-m", "pytest", "-x", "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider", "--timeout=60",
                  "--hypothesis-seed=0")  # fmt: skip
_IMPORTED: Final = f"import pathlib, {PACKAGE}; print(pathlib.Path({PACKAGE}.__file__).parents[1])"


@attrs.frozen
class Run:
    """One run of tests.

    Attributes:
        passed: True if all tests passed.
        seconds: duration.
        ended: True if it ended within its timeout.
        output: what pytest printed.
    """

    passed: bool
    seconds: float
    ended: bool
    output: str


class Tree:
    """One copy of the project."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        for name in _NEEDED:
            source = root / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "_build"))
            elif source.exists():
                shutil.copy2(source, folder / name)

    def imports_itself(self) -> bool:
        """Return True if the tests import the package of this copy, not an installed one."""
        done = subprocess.run(
            [sys.executable, "-c", _IMPORTED], cwd=self.folder, env=self._env(), capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        return Path(done.stdout.strip()).samefile(self.folder)

    def run(self, tests: Sequence[str], timeout: float, *, cached: bool = False) -> Run:
        """Run test files until the first failure.

        Args:
            tests: paths relative to `tests`.
            timeout: seconds after which the run and its child processes are killed.
            cached: True to keep bytecode for later runs; only if no fault is planted.
        """
        command = [sys.executable, *_PYTEST, *(f"tests/{test}" for test in tests)]
        env = self._env() | ({} if cached else {"PYTHONDONTWRITEBYTECODE": "1"})
        begun = time.monotonic()
        process = subprocess.Popen(
            command, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return Run(passed=False, seconds=timeout, ended=False, output="")
        return Run(process.returncode == 0, time.monotonic() - begun, ended=True, output=output)

    def run_with(self, module: str, code: str, tests: Sequence[str], timeout: float) -> Run:
        """Run test files with other code in a module."""
        path = self.folder / PACKAGE / module
        original = path.read_bytes()
        path.write_text(code, encoding="utf-8")
        try:
            return self.run(tests, timeout)
        finally:
            path.write_bytes(original)

    def _env(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.folder), "HYPOTHESIS_STORAGE_DIRECTORY": str(self.folder / ".h")}
