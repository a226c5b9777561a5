"""`dataops canary`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from dataops_core.cli.invocation import Invocation, TyperContext
from dataops_core.cli.options import ConfirmOption, ListOutput, PipelineArgument, YesOption, confirmation
from dataops_core.cli.terminal import Exit, ask_word, can_ask, say, write_json
from dataops_core.errors import ConfigError
from dataops_core.units import duration

if TYPE_CHECKING:
    from dataops_core.canary import HopResult

COLUMNS = (("hop", "varchar"), ("outcome", "varchar"), ("took s", "double"), ("after s", "double"), ("why", "varchar"))


def canary(
    context: TyperContext,
    pipeline: PipelineArgument,
    timeout: Annotated[
        float | None,
        typer.Option(min=1, metavar="SECONDS", help="How long to wait for it. Default: `timeout` of the settings."),
    ] = None,
    output: Annotated[ListOutput, typer.Option("--output", "-o", help="Output format.")] = ListOutput.TABLE,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Send a test record through a pipeline, and measure when it arrives at each hop, up to Trino.

    It writes a record, requires confirmation and is audited. Its content and its hops are settings:
    [pipelines.NAME.canary].

    Example: dataops canary boreal-bridge --yes

    Exit codes: 0 in time at each hop, 1 arrived, but late or not detected at a hop, 2 wrong use or settings or
    refused, 3 no connection, so the result is unknown, 4 not arrived in time, 130 interrupted.
    """
    return _send(
        context.obj,
        pipeline,
        timeout=timeout,
        as_json=output is ListOutput.JSON,
        confirmed=confirmation(confirm, yes=yes),
    )


def _send(invocation: Invocation, name: str, *, timeout: float | None, as_json: bool, confirmed: str | None) -> int:
    """Send a canary, follow it through the pipeline, and write the result of each hop."""
    from dataops_core.canary import Canary, Journey, as_dict, follow, hops_of
    from dataops_core.cli.listing import write_rows
    from dataops_core.config.check import no_such

    chosen = invocation.chosen()
    if name not in chosen.pipelines:
        raise ConfigError(f'{no_such("pipeline", name, chosen.pipelines)} (in the context "{chosen.name}")')
    pipeline = chosen.pipelines[name]
    if pipeline.canary is None:
        raise ConfigError(f"the pipeline {name} has no canary", hint=f"declare it in [pipelines.{name}.canary]")
    clients, policy = chosen.clients, chosen.policy
    word = policy.confirmation()
    if word is not None and confirmed is None and can_ask():
        confirmed = ask_word(f'This writes a record into {pipeline.canary.topic} in the context "{chosen.name}".', word)
    record = Canary.make(pipeline.canary, datetime.now(UTC))
    hops = hops_of(pipeline, pipeline.canary, record, clients)
    began, sent_at = time.monotonic(), datetime.now(UTC)
    kafka = clients.need("kafka", pipeline.canary.on)
    sent = policy.send_canary(kafka, record.topic, record.key, record.value, confirmed)
    sending = time.monotonic() - began
    say(f"{record.id} is in {sent.topic}-{sent.partition} at offset {sent.offset}")
    try:
        results = follow(hops, sent, sending, timeout or pipeline.canary.timeout, _report_arrival)
    except KeyboardInterrupt:
        say(f"dataops: interrupted; {record.id} continues")
        return Exit.INTERRUPTED
    journey = Journey(name, record.id, sent.topic, sent.partition, sent.offset, sent_at, results)
    if as_json:
        write_json(as_dict(journey))
    else:
        write_rows("table", COLUMNS, [_row(result) for result in journey.passages])
    return _exit_code(results)


def _report_arrival(hop: str, after: float) -> None:
    say(f"passed {hop} after {duration(after, precise=True)}")


def _row(result: HopResult) -> tuple[str | float | None, ...]:
    took, after = (None if value is None else round(value, 1) for value in (result.took, result.after))
    return (result.hop, result.outcome.value, took, after, result.error or "")


def _exit_code(results: tuple[HopResult, ...]) -> Exit:
    from dataops_core.canary import Outcome

    last = results[-1].outcome
    if last is Outcome.UNKNOWN:
        say(f"dataops: unknown whether it has arrived: {results[-1].error}")
        return Exit.CONNECTION
    if last is Outcome.MISSING:
        missing = next(p.hop for p in results if p.outcome in (Outcome.MISSING, Outcome.UNKNOWN))
        say(f"dataops: it has not arrived in time; the first hop without it is {missing}")
        return Exit.TIMED_OUT
    problems = [f"{p.hop} is {p.outcome.value}" for p in results if p.outcome is not Outcome.SEEN]
    if problems:
        say(f"dataops: it has arrived, but {', '.join(problems)}")
        return Exit.FAILED
    return Exit.OK
