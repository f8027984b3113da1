"""Fuzzing of the code that reads external input: bodies, whole responses, checkpoints. Run by `nox -s fuzz`."""
