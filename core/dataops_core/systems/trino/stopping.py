"""Cancel several statements of Trino concurrently."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Thread
from typing import TYPE_CHECKING

from dataops_core.errors import ClientError
from dataops_core.transport.deadlines import Deadline

if TYPE_CHECKING:
    from dataops_core.systems.trino.client import QueryHandle


def stop_all(running: Sequence[QueryHandle], within: float) -> list[str]:
    """Cancel statements concurrently; return one line for each that may still run in the server.

    Args:
        running: The statements.
        within: Seconds after which we go without.
    """
    left = {handle: f"the query {handle.query_id or 'without an id'} may still run in the server" for handle in running}

    def stop(handle: QueryHandle) -> None:
        try:
            handle.stop(within)
        except ClientError as error:
            left[handle] = str(error)
        else:
            del left[handle]

    threads = [Thread(target=stop, args=(handle,), name="trino-stop", daemon=True) for handle in running]
    for thread in threads:
        thread.start()
    deadline = Deadline(within + 0.5)
    for thread in threads:
        thread.join(deadline.left)
    return list(left.values())
