"""`dataops sql`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dataops_core.cli.invocation import Invocation, TyperContext
from dataops_core.cli.options import ConfirmOption, RowOutput, TrinoOption, YesOption, confirmation
from dataops_core.cli.statement import read_statement
from dataops_core.cli.terminal import Exit, ask_word, can_ask, say
from dataops_core.errors import BadAnswer, ClientError, TimedOut

if TYPE_CHECKING:
    from dataops_core.systems.trino.client import QueryHandle

Batch = list[tuple[Any, ...]]


def sql(
    context: TyperContext,
    statement: Annotated[
        str | None, typer.Argument(metavar="STATEMENT", help="One statement; - reads it from standard input.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="Read the statement from a file.")
    ] = None,
    output: Annotated[
        RowOutput, typer.Option("--output", "-o", help="Output format of the rows; csv-safe contains no formulas.")
    ] = RowOutput.TABLE,
    timeout: Annotated[
        float | None, typer.Option(min=0.1, metavar="SECONDS", help="Cancel the statement after this time.")
    ] = None,
    component: TrinoOption = None,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Run one statement in Trino and stream its rows.

    Statements that change data require confirmation and are audited. A statement may begin with a comment: "-- all".

    Example: dataops sql -o csv "SELECT * FROM bronze.readings LIMIT 5"

    Exit codes: 0 done, 1 the statement failed, 2 wrong use or settings or refused, 3 no connection, 4 timed out,
    130 interrupted; the statement is then cancelled in Trino.
    """
    return _run(
        context.obj,
        component,
        read_statement(statement, file),
        output=output.value,
        timeout=timeout,
        confirmed=confirmation(confirm, yes=yes),
    )


def _run(
    invocation: Invocation,
    component: str | None,
    statement: str,
    *,
    output: str,
    timeout: float | None,
    confirmed: str | None,
) -> int:
    """Run a statement and write its rows; return the exit code."""
    from dataops_core.cli.listing import rows_writer
    from dataops_core.units import count

    chosen = invocation.chosen()
    name = chosen.component("trino", "Trino", component)
    policy, trino = chosen.policy, chosen.clients.need("trino", name)
    assessed = policy.assess_sql(trino, statement)
    word = policy.confirmation(assessed.risk)
    if word is not None and confirmed is None and can_ask():
        confirmed = ask_word(f"{assessed.why[:1].upper()}{assessed.why[1:]} {chosen.where('trino', name)}.", word)
    handle = policy.run_sql(trino, statement, confirmed)
    rows = _Reader(handle, timeout)
    out = rows_writer(output)
    number = 0
    try:
        for batch in rows:
            out.rows(handle.columns, batch)
            number += len(batch)
        out.end(handle.columns)
    except KeyboardInterrupt:
        say("dataops: interrupted")
        return Exit.INTERRUPTED
    finally:
        rows.close()
    if handle.columns and not number:
        say("no rows")  # headings alone look as if the rows were still to come
    elif not handle.columns:
        say(f"{handle.update_type or 'done'}" + (f": {count(handle.update_count)} rows" if handle.update_count else ""))
    return Exit.OK


class _Reader:
    """Reads a query's rows in a thread, so that ctrl+c and the timeout work while the server is silent."""

    def __init__(self, handle: QueryHandle, timeout: float | None) -> None:
        self._handle = handle
        self._timeout = timeout
        self._queue: Queue[Batch | ClientError | None] = Queue(maxsize=4)
        self._closed = Event()
        self._thread = Thread(target=self._read, name="query", daemon=True)
        self._narrated = False

    def __iter__(self) -> Iterator[Batch]:
        from dataops_core.units import duration

        began = time.monotonic()
        self._thread.start()
        while True:
            try:
                results = self._queue.get(timeout=0.1)
            except Empty:
                self._narrate()
                results = []
            if isinstance(results, ClientError):
                self._clear_narration()
                raise results
            if results is None:
                self._clear_narration()
                return
            if self._timeout is not None and time.monotonic() - began > self._timeout:
                self._clear_narration()
                raise TimedOut(f"the statement did not finish within {duration(self._timeout)}", hint="it is cancelled")
            if results:
                self._clear_narration()
                yield results

    def close(self) -> None:
        """Cancel the query in the server if it has not ended; report if that fails."""
        self._closed.set()
        if not self._thread.is_alive():
            return
        try:
            self._handle.stop()
        except TimedOut as error:
            say(f"dataops: {error}")

    def _read(self) -> None:
        try:
            for batch in self._handle.batches():
                if not self._put(batch):
                    return
            self._put(None)
        except ClientError as error:
            self._put(error)
        except Exception as error:  # noqa: BLE001 - the thread that waits for the rows raises it
            self._put(BadAnswer(f"the response cannot be read: {type(error).__name__}: {error}"))

    def _put(self, item: Batch | ClientError | None) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except Full:
                continue
            return True
        return False

    def _narrate(self) -> None:
        from dataops_core.narration import show_progress
        from dataops_core.systems.trino.responses import splits
        from dataops_core.units import count, duration

        progress = self._handle.progress()
        if progress is None or not sys.stderr.isatty():
            return
        self._narrated = True
        line = f"{progress.state.lower()}  {splits(progress)} splits"
        line += f"  {count(progress.rows)} rows  {duration(progress.elapsed)}"
        show_progress(line)

    def _clear_narration(self) -> None:
        from dataops_core.narration import show_progress

        if self._narrated:
            self._narrated = False
            show_progress("")
