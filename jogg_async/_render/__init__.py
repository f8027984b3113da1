"""Tracks as HTML, Arrow, records and text; progress bars. Shared by notebooks, files and the command line."""
