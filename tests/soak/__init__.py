"""Soak test: crawls of every kind under faults and rate limits, with samples of the process's resources."""
