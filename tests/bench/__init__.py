"""Benchmark: `nox -s bench`, or ``python -m bench --help`` in the folder `tests`."""
