"""Fuzzing of what reads bytes from outside: bodies, whole responses, checkpoints. Run by `nox -s fuzz`."""
