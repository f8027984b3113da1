"""Fuzzing of what reads bytes from outside: bodies, whole answers, checkpoints. Run by `nox -s fuzz`."""
