"""Fuzz one target in a process of its own, which libFuzzer ends. Arguments: the target's name, then libFuzzer's."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

# Imported by name: atheris has no types and is not installed everywhere.
atheris: Any = import_module("atheris")

with atheris.instrument_imports(include=["jogg_async"], enable_loader_override=False):
    TARGETS = import_module(f"{__package__}.targets").TARGETS

if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()
