"""The retry hooks of stamina, called for retries of this package in applications that use stamina.

stamina is no dependency: an application that has not imported it has set no hooks. Its default hook warns of each
retry, which in a script without logging would print a line on standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import cast


@contextmanager
def retry_hooks(request: str, attempts: int, wait: float, waited: float, failure: Exception) -> Generator[None]:
    """Call stamina's hooks, and hold what they return open during the wait, as stamina does.

    Args:
        request: the request, as ``GET <address>``.
        attempts: attempts made so far.
        wait: seconds until the next one.
        waited: seconds of the waits before this one.
        failure: what the last attempt raised.
    """
    stamina = sys.modules.get("stamina.instrumentation")
    with ExitStack() as stack:
        if stamina is not None:
            details = stamina.RetryDetails(
                name="jogg_async",
                args=(request,),
                kwargs={},
                retry_num=attempts,
                wait_for=wait,
                waited_so_far=waited,
                caused_by=failure,
            )
            for hook in stamina.get_on_retry_hooks():
                opened: object = hook(details)
                if isinstance(opened, AbstractContextManager):
                    stack.enter_context(cast("AbstractContextManager[None]", opened))
        yield
