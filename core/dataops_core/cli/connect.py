"""`dataops connect`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dataops_core.cli.invocation import Invocation, TyperContext
from dataops_core.cli.options import HELP, ConfirmOption, ConnectOption, RowOutput, RowsOption, YesOption, confirmation
from dataops_core.cli.terminal import Exit, ask_word, can_ask, say

if TYPE_CHECKING:
    from dataops_core.actions import ActionPolicy
    from dataops_core.systems.connect.client import ConnectClient
    from dataops_core.systems.connect.requests import Change
    from dataops_core.systems.connect.responses import Connector

ConnectorArgument = Annotated[str, typer.Argument(metavar="CONNECTOR", help="The connector.")]
COLUMNS = (
    ("connector", "varchar"),
    ("type", "varchar"),
    ("state", "varchar"),
    ("tasks", "bigint"),
    ("failed_tasks", "bigint"),
    ("worker", "varchar"),
    ("cause", "varchar"),
)

app = typer.Typer(rich_markup_mode=None, context_settings=HELP, help="Kafka Connect's connectors.")


@app.command("list")
def list_(context: TyperContext, component: ConnectOption = None, output: RowsOption = RowOutput.TABLE) -> int:
    """List all connectors with the states of their tasks.

    Example: dataops connect list -o json

    Exit codes: 0 done, 2 wrong use or settings, 3 no connection, 4 timed out, 130 interrupted.
    """
    from dataops_core.cli.listing import write_rows

    _, _, client = _open(context.obj, component)
    write_rows(output.value, COLUMNS, [_row(connector) for connector in client.connectors()])
    return Exit.OK


@app.command("restart")
def restart(
    context: TyperContext,
    connector: ConnectorArgument,
    everything: Annotated[
        bool, typer.Option("--all", help="Restart the connector and all its tasks, not only what has failed.")
    ] = False,
    component: ConnectOption = None,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Restart the failed tasks of a connector, and the connector itself if it has failed.

    It requires confirmation and is audited. It needs Kafka Connect 3.0 or newer.

    Example: dataops connect restart orders-sink --yes

    Exit codes: 0 requested, 1 no such connector, 2 wrong use or settings or refused, 3 no connection, 4 timed out,
    130 interrupted.
    """
    from dataops_core.systems.connect.requests import Change

    what = Change.RESTART if everything else Change.RESTART_FAILED
    return _change(context.obj, component, connector, what, confirmation(confirm, yes=yes))


def _add_change_command(name: str, summary: str) -> None:
    @app.command(
        name,
        help=f"""{summary}

It requires confirmation and is audited.

Example: dataops connect {name} orders-sink --yes

Exit codes: 0 requested, 1 no such connector, 2 wrong use or settings or refused, 3 no connection, 4 timed out,
130 interrupted.""",
    )
    def command(
        context: TyperContext,
        connector: ConnectorArgument,
        component: ConnectOption = None,
        yes: YesOption = False,
        confirm: ConfirmOption = None,
    ) -> int:
        from dataops_core.systems.connect.requests import Change

        return _change(context.obj, component, connector, Change[name.upper()], confirmation(confirm, yes=yes))


_add_change_command("pause", "Pause a connector: its tasks stay, and read and write nothing.")
_add_change_command("resume", "Resume a paused or stopped connector.")


def _change(invocation: Invocation, component: str | None, name: str, change: Change, confirmed: str | None) -> int:
    where, policy, client = _open(invocation, component)
    word = policy.confirmation()
    if word is not None and confirmed is None and can_ask():
        confirmed = ask_word(f"This {change.verb}s the connector {name} {where}.", word)
    policy.change_connector(client, name, change, confirmed)
    say(f"dataops: {change.verb} of {name} requested; dataops connect list shows its state")
    return Exit.OK


def _open(invocation: Invocation, component: str | None) -> tuple[str, ActionPolicy, ConnectClient]:
    """Return the component and context in words for a question, the policy for actions, and the client."""
    chosen = invocation.chosen()
    name = chosen.component("connect", "Kafka Connect", component)
    return chosen.where("connect", name), chosen.policy, chosen.clients.need("connect", name)


def _row(connector: Connector) -> tuple[Any, ...]:
    return (
        connector.name,
        connector.kind,
        connector.state,
        len(connector.tasks),
        len(connector.of_state("FAILED")),
        connector.worker,
        connector.first_cause,
    )
