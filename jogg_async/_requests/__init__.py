"""One page's request, sent until it succeeds or fails: retry, throttle, adaptive rate."""
