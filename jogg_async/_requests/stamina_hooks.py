"""Calls of stamina's retry hooks for the retries of this package, in applications that use stamina.

stamina is not imported here, because an application that has not imported it has set no hooks. Besides, its default
hook logs a warning at each retry, which a script without logging would see on standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import cast


@contextmanager
def retry_hooks(request: str, attempts: int, wait: float, waited: float, failure: Exception) -> Generator[None]:
    """Call stamina's hooks. Context managers that they return stay open during the wait, as in stamina.

    Args:
        request: the request, as ``GET <address>``.
        attempts: number of attempts so far.
        wait: seconds until the next attempt.
        waited: seconds waited before, in total.
        failure: error of the last attempt.
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
