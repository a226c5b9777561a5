"""Backfill of a DAG: prompt for dates, request the runs from Airflow, confirm, create the backfill, report."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dataops_core.actions import Backfill
from dataops_core.errors import ActionRefused
from dataops_tui.background import in_background
from dataops_tui.console import Console
from dataops_tui.dialogs.pick import Answer, InputDialog
from dataops_tui.messages import BackfillPlanned
from dataops_tui.workflows.change import change

if TYPE_CHECKING:  # the clients bring their vendors' SDKs, which take seconds to import
    from dataops_core.systems.airflow.client import AirflowClient

BACKFILL_SHOWN = 10
"""Maximum number of dates of a backfill that its confirmation lists."""


def backfill_dag(console: Console, dag_id: str | None) -> None:
    """Run a DAG for past dates, after Airflow has listed the runs and the user has confirmed them."""
    airflow = console.clients.airflow
    if dag_id is None or airflow is None:
        console.notify(
            "no DAG selected: move the cursor to one" if airflow else console.clients.why_not("Airflow"),
            severity="error",
        )
        return

    def check(typed: str) -> tuple[str, bool]:
        try:
            Backfill.typed(dag_id, typed)
        except ActionRefused as refusal:
            return str(refusal), False
        return "", False

    def answered(answer: Answer | None) -> None:
        if answer is not None:
            _plan(console, airflow, Backfill.typed(dag_id, answer.text))

    today = datetime.now(UTC).date()
    title = f"Backfill {dag_id}: first..last date; add `failed` or `completed` to rerun those dates"
    console.push_screen(InputDialog(title, f"{today - timedelta(days=1)}..{today}", check), answered)


def _plan(console: Console, airflow: AirflowClient, wanted: Backfill) -> None:
    def work() -> None:
        from dataops_core.systems.airflow.runs import backfill_dates  # noqa: PLC0415 - the vendor's SDK takes a second

        console.post_message(BackfillPlanned(airflow, wanted, backfill_dates(airflow, wanted.body)))

    in_background(console, f"planning the backfill of {wanted.dag_id}", work)


def backfill_planned(console: Console, message: BackfillPlanned) -> None:
    """Show the runs, and create the backfill after confirmation."""
    wanted, dates = message.wanted, message.dates
    if not dates:
        console.notify(f"no runs to backfill in {wanted.dag_id}: all of these dates have one")
        return
    runs = f"{len(dates)} run{'s' if len(dates) != 1 else ''}"
    shown = [date.isoformat() for date in dates[:BACKFILL_SHOWN]]
    more = [f"and {len(dates) - BACKFILL_SHOWN} more"] if len(dates) > BACKFILL_SHOWN else []
    call = f"POST {message.airflow.api_url}/backfills {json.dumps(wanted.body)}"

    def do(confirmed: str | None) -> str:
        number = console.policy.backfill(message.airflow, wanted, confirmed)
        return f"backfill {number} of {wanted.dag_id}: {runs}"

    change(console, f"Backfill {wanted.dag_id}: {runs}", [call, *shown, *more], do)
