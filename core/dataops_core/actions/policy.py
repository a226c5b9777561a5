"""The policy for actions: refuse those that a context forbids or nobody confirmed, and audit every one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dataops_core.actions.audit import AuditLog
from dataops_core.actions.backfill import Backfill
from dataops_core.actions.risk import SqlRisk
from dataops_core.bounded import LINE, Malformed, load_object
from dataops_core.config import AuditSettings, ContextSettings
from dataops_core.errors import ActionRefused, ClientError

if TYPE_CHECKING:  # the clients import their vendors' SDKs, which takes a second
    from dataops_core.actions.sql import Classification
    from dataops_core.systems.airflow.client import AirflowClient
    from dataops_core.systems.airflow.responses import DagRun
    from dataops_core.systems.airflow.runs import TaskInstance
    from dataops_core.systems.connect.client import ConnectClient
    from dataops_core.systems.connect.requests import Change
    from dataops_core.systems.kafka.client import KafkaClient
    from dataops_core.systems.kafka.model import Sent
    from dataops_core.systems.prometheus.client import AlertmanagerClient
    from dataops_core.systems.trino.client import QueryHandle, TrinoClient

T = TypeVar("T")
YES = "yes"
"""The word that confirms a change outside production."""
KILL_MESSAGE = "killed by an operator with dataops-tui"
"""The message that Trino shows to the user whose query was killed."""

_SECRET_NAME = re.compile(r"passw|secret|token|credential|key|auth", re.IGNORECASE)


class ActionPolicy:
    """Runs or refuses the actions of one context.

    Args:
        context: Name of the context.
        settings: Its settings: `read_only` refuses every change, `production` requires the context's name.
        audit_path: The audit file; this user's audit file by default.
        audit: Anchors of the audit file.
    """

    def __init__(
        self,
        context: str,
        settings: ContextSettings,
        audit_path: Path | None = None,
        audit: AuditSettings | None = None,
    ) -> None:
        self._context = context
        self._settings = settings
        self.audit = AuditLog(audit_path, audit)
        """The audit file of all actions, allowed and refused."""
        self._held: str | None = None

    def held(self, why: str) -> ActionPolicy:
        """Return a copy of this policy that refuses every change for the given reason."""
        policy = copy(self)
        policy._held = why  # noqa: SLF001 - of the same class
        return policy

    def confirmation(self, risk: SqlRisk = SqlRisk.WRITE) -> str | None:
        """Return the word that confirms an action of this risk; triggering a DAG is a write.

        `None` if no confirmation is needed, or if the context is read-only or the policy is held: then no word helps.
        """
        if risk is SqlRisk.READ or self._settings.read_only or self._held:
            return None
        return self._context if self._settings.production else YES

    def assess_sql(self, client: TrinoClient, statement: str) -> Classification:
        """Return the risk of one statement in this Trino, and its syntax problem if any."""
        from dataops_core.actions.sql import assess_sql  # noqa: PLC0415 - imports the SQL grammar
        from dataops_core.systems.trino.settings import TrinoSettings  # noqa: PLC0415 - imported only if it is used

        trinos = self._settings.of(TrinoSettings).values()
        allowed = (each.reading_table_functions for each in trinos if each.url.rstrip("/") == client.target)
        return assess_sql(statement, next(allowed, ()))

    def run_sql(self, client: TrinoClient, statement: str, confirmed: str | None = None) -> QueryHandle:
        """Return a handle for one statement in Trino, which starts when its rows are read.

        Args:
            client: The Trino to run it in.
            statement: Exactly one statement.
            confirmed: The word that the user typed to confirm it.

        Raises:
            ActionRefused: It is not one statement, the context forbids it, or it is not confirmed.
        """
        from dataops_core.actions.sql import one_statement  # noqa: PLC0415 - imports the SQL grammar
        from dataops_core.sql.secrets import without_secrets  # noqa: PLC0415 - as above

        risk = SqlRisk.UNKNOWN
        entry = {"action": "run_sql", "target": client.target, "statement": without_secrets(statement.strip())}
        try:
            assessed = self.assess_sql(client, statement)  # as typed, so that positions in errors match
            statement = one_statement(statement)
            risk = assessed.risk
            self._check(risk, confirmed, assessed.why, correct=assessed.problem is not None)
        except ActionRefused as refusal:
            self._audit(entry | {"risk": risk.value}, "refused", reason=str(refusal))
            raise
        self._audit(entry | {"risk": risk.value}, "allowed")
        return client.query(statement)

    def kill_query(self, client: TrinoClient, query_id: str, confirmed: str | None = None) -> None:
        """Kill a query in Trino, also another user's.

        Args:
            client: The Trino that runs it.
            query_id: The query.
            confirmed: The word that the user typed to confirm it.

        Raises:
            ActionRefused: The context forbids it, or it is not confirmed.
            ClientError: Trino did not kill it.
        """
        entry = {"action": "kill_query", "target": client.target, "query_id": query_id}
        try:
            self._check(SqlRisk.WRITE, confirmed, f"killing {query_id} ends somebody's query")
        except ActionRefused as refusal:
            self._audit(entry, "refused", reason=str(refusal))
            raise
        self._audit(entry, "allowed")
        try:
            client.kill(query_id, KILL_MESSAGE)
        except ClientError as error:
            self._audit(entry, "failed", reason=str(error))
            raise
        self._audit(entry, "done")

    def trigger_dag(
        self, client: AirflowClient, dag_id: str, conf: Mapping[str, Any] | None = None, confirmed: str | None = None
    ) -> DagRun:
        """Trigger a run of a DAG.

        Args:
            client: The Airflow that has the DAG.
            dag_id: The DAG.
            conf: The run's parameters.
            confirmed: The word that the user typed to confirm it.

        Raises:
            ActionRefused: The context forbids it, or it is not confirmed.
            ClientError: Airflow did not trigger the run.
        """
        shown = {name: _shown(name, value) for name, value in (conf or {}).items()}
        entry = {"action": "trigger_dag", "target": client.target, "dag_id": dag_id, "conf": shown}
        try:
            self._check(SqlRisk.WRITE, confirmed, f"triggering {dag_id} starts a run")
        except ActionRefused as refusal:
            self._audit(entry, "refused", reason=str(refusal))
            raise
        self._audit(entry, "allowed")
        try:
            run = client.trigger(dag_id, conf)
        except ClientError as error:
            self._audit(entry, "failed", reason=str(error))
            raise
        self._audit(entry, "done", run_id=run.run_id)
        return run

    def send_canary(self, client: KafkaClient, topic: str, key: str, value: str, confirmed: str | None = None) -> Sent:
        """Send a canary record.

        Args:
            client: The Kafka cluster.
            topic: The topic.
            key: The record's key.
            value: The record's value.
            confirmed: The word that the user typed to confirm it.

        Raises:
            ActionRefused: The context forbids it, or it is not confirmed.
            ClientError: Kafka did not accept the record.
        """
        entry = {"action": "send_canary", "target": client.target, "topic": topic, "key": key, "value": value}
        what = f"a canary writes a record into the topic {topic}"
        return self._do(entry, what, confirmed, lambda: client.send(topic, key.encode(), value.encode()))

    def send_alert(
        self,
        client: AlertmanagerClient,
        labels: Mapping[str, str],
        annotations: Mapping[str, str],
        ends_at: datetime,
        confirmed: str | None = None,
    ) -> None:
        """Send a test alert, which resolves by itself.

        Args:
            client: The Alertmanager.
            labels: The alert's labels.
            annotations: The alert's summary and description.
            ends_at: When it resolves.
            confirmed: The word that the user typed to confirm it.

        Raises:
            ActionRefused: The context forbids it, or it is not confirmed.
            ClientError: Alertmanager did not accept the alert.
        """
        entry = {"action": "send_alert", "target": client.target, "labels": dict(labels)}
        what = "a test alert may page somebody"
        self._do(entry, what, confirmed, lambda: client.post(labels, annotations, ends_at))

    def set_paused(
        self, client: AirflowClient, dag_ids: Sequence[str], *, paused: bool, confirmed: str | None = None
    ) -> None:
        """Pause or unpause DAGs; stop at the first one that fails.

        Args:
            client: The Airflow that has the DAGs.
            dag_ids: The DAGs.
            paused: Whether to pause or to unpause them.
            confirmed: The word that the user typed to confirm it.

        Raises:
            ActionRefused: The context forbids it, or it is not confirmed.
            ClientError: Airflow did not change a DAG.
        """
        action, what = ("pause_dag", "pausing") if paused else ("unpause_dag", "unpausing")
        for dag_id in dag_ids:
            entry = {"action": action, "target": client.target, "dag_id": dag_id}
            self._do(entry, f"{what} {dag_id} changes when it runs", confirmed, partial(_pause, client, dag_id, paused))

    def clear_failed(
        self,
        client: AirflowClient,
        dag_id: str,
        run_id: str,
        tasks: Sequence[TaskInstance] = (),
        confirmed: str | None = None,
    ) -> int:
        """Clear failed tasks of a run, so that Airflow reruns them, and return how many were cleared.

        Args:
            client: The Airflow that has the DAG.
            dag_id: The DAG.
            run_id: The run.
            tasks: Tasks to clear together with their downstream tasks; all failed tasks by default.
            confirmed: The word that the user typed to confirm it.

        Raises:
            ActionRefused: The context forbids it, or it is not confirmed.
            ClientError: Airflow did not clear the tasks.
        """
        names = [task.key for task in tasks] or "failed"
        entry = {"action": "clear_tasks", "target": client.target, "dag_id": dag_id, "run_id": run_id, "tasks": names}
        what = f"clearing tasks of {dag_id} runs them again"
        return self._do(entry, what, confirmed, partial(_clear, client, dag_id, run_id, tasks))

    def backfill(self, client: AirflowClient, wanted: Backfill, confirmed: str | None = None) -> int:
        """Start a backfill of a DAG, and return the backfill's id.

        Args:
            client: The Airflow that has the DAG.
            wanted: The DAG and its dates.
            confirmed: The word that the user typed to confirm it.

        Raises:
            ActionRefused: The context forbids it, or it is not confirmed.
            ClientError: Airflow did not start the backfill.
        """
        entry = {"action": "backfill_dag", "target": client.target, **wanted.body}
        what = f"a backfill of {wanted.dag_id} starts runs"
        return self._do(entry, what, confirmed, partial(_backfill, client, wanted))

    def change_connector(self, client: ConnectClient, name: str, change: Change, confirmed: str | None = None) -> None:
        """Restart, pause or resume a connector.

        Args:
            client: Its Connect cluster.
            name: The connector.
            change: The request.
            confirmed: What the user typed to confirm, if anything.

        Raises:
            ActionRefused: The context forbids it, or it is not confirmed.
            ClientError: Connect rejected it or did not respond.
        """
        entry = {"action": f"{change.verb}_connector", "target": client.target, "connector": name}
        self._do(entry, change.effect(name), confirmed, lambda: client.change(name, change))

    def _do(self, entry: Mapping[str, object], what: str, confirmed: str | None, do: Callable[[], T]) -> T:
        """Run an action if the policy allows it, and audit its outcome."""
        try:
            self._check(SqlRisk.WRITE, confirmed, what)
        except ActionRefused as refusal:
            self._audit(entry, "refused", reason=str(refusal))
            raise
        self._audit(entry, "allowed")
        try:
            done = do()
        except ClientError as error:
            self._audit(entry, "failed", reason=str(error))
            raise
        self._audit(entry, "done")
        return done

    def _check(self, risk: SqlRisk, confirmed: str | None, what: str, *, correct: bool = False) -> None:
        if risk is SqlRisk.READ:
            return
        if self._held:
            raise ActionRefused(f"{what}, and {self._held}")
        if self._settings.read_only:
            raise ActionRefused(f'{what}, and the context "{self._context}" is read-only')
        accepted = {self._context} if self._settings.production else {self._context, YES}
        if confirmed not in accepted:
            kind = "production context" if self._settings.production else "context"
            word = f'confirm with "{self.confirmation(risk)}"'
            hint = f"correct it, or {word}" if correct else word
            raise ActionRefused(f'{what} in the {kind} "{self._context}"', hint=hint)

    def _audit(self, entry: Mapping[str, object], outcome: str, **more: str) -> None:
        self.audit.append({"context": self._context, "outcome": outcome, **entry, **more})


def _pause(client: AirflowClient, dag_id: str, paused: bool) -> None:
    from dataops_core.systems.airflow.runs import set_paused  # noqa: PLC0415 - the vendor's SDK takes a second

    set_paused(client, dag_id, paused=paused)


def _clear(client: AirflowClient, dag_id: str, run_id: str, tasks: Sequence[TaskInstance]) -> int:
    from dataops_core.systems.airflow.runs import clear_failed  # noqa: PLC0415 - as above

    return clear_failed(client, dag_id, run_id, tasks)


def _backfill(client: AirflowClient, wanted: Backfill) -> int:
    from dataops_core.systems.airflow.runs import backfill  # noqa: PLC0415 - as above

    return backfill(client, wanted.body)


def _shown(name: str, value: object) -> object:
    """Return a parameter for the audit file; its value is masked if its name suggests a secret."""
    if _SECRET_NAME.search(name):
        return "***"
    if isinstance(value, Mapping):
        return {inner: _shown(str(inner), v) for inner, v in value.items()}
    if isinstance(value, list):
        return [_shown("", v) for v in value]
    return value


def parse_conf(text: str) -> dict[str, Any]:
    """Return the parameters of a DAG run from JSON; an empty text means no parameters.

    Raises:
        ActionRefused: They are not a JSON object.
    """
    try:
        return load_object(text, size=LINE) if text.strip() else {}
    except Malformed as error:
        problem = f"the parameters are not a JSON object: the text {error}"
        raise ActionRefused(problem, hint='write them as {"day": "2013-01-01"}') from error
