"""One target, in a process of its own, which libFuzzer ends: its name, and then what libFuzzer takes."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

# By name: it ships no types, and there are machines without it.
atheris: Any = import_module("atheris")

with atheris.instrument_imports(include=["jogg_async"], enable_loader_override=False):
    TARGETS = import_module(f"{__package__}.targets").TARGETS

if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()
