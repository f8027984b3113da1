"""Mutation testing: plant small faults in the package one at a time, and see whether the nearest tests notice."""
