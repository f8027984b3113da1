"""The benchmark: `nox -s bench`, or ``python -m bench --help`` in this folder's parent."""
