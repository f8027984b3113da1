"""Crawls saved as files and as an SQLite mirror, through a journal that survives a kill."""
