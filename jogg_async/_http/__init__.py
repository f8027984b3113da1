"""Requests over aiohttp: transport, connections, timeouts. No other layer knows aiohttp."""
