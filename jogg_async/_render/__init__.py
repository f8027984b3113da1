"""Tracks as HTML, Arrow, records and text; progress bars. Each written once."""
