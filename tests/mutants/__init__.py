"""Mutation testing: plant one small fault at a time in the package, and run the nearest tests."""
