"""The crawl: a sliding window of page requests, where the catalogue ends, duplicates, drift, checkpoints."""
