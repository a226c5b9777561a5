"""Every client against every misbehaviour: one clear line, in time, in bounded memory, and no credential elsewhere."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from tests.hostile import clients
from tests.hostile.bodies import WAYS
from tests.hostile.misbehaviours import MIB, Way
from tests.hostile.server import Server
from tests.hostile.test_origins import Witness

from dataops_core.errors import DataopsError
from dataops_core.transport.deadlines import LISTING

TIMEOUT = 0.5
SLACK = 20.0
"""Seconds more than the deadline on a busy machine; a hang has no end."""
TIMEOUT_LARGE = 3.0
TIMEOUT_ELSE = 15.0
AT_ONCE = 48
PLACES = (
    *("trino info", "trino query", "trino kill", "airflow dags", "airflow token", "airflow log", "airflow trigger"),
    *("oauth token", "airflow 2 dags", "airflow 2 log", "airflow 2 trigger"),
    *("catalog ping", "catalog table", "catalog oauth", "prometheus alerts", "prometheus query"),
    *("alertmanager alerts", "alertmanager post", "registry schema", "spark ui", "http document", "connect status"),
    "dbt artifacts",
)
"""One question for each code that sends a request; what concerns the body alone is tried on all questions."""
AFTER_A_LOGIN = ("trino query", "airflow token", "catalog ping", "catalog table", "catalog oauth")
"""Questions that are asked after others, which may go well."""
LARGE = ("prometheus version", "trino query", "airflow dags", "catalog ping", "catalog oauth", "dbt artifacts")
pytestmark = pytest.mark.filterwarnings("ignore:.*OAuth2:DeprecationWarning")


@dataclass(frozen=True)
class Outcome:
    """How a question ended.

    Attributes:
        error: What was raised; `None` where an answer was given, or there was no end.
        ended: Whether there was an end.
    """

    question: str
    error: BaseException | None
    answer: object
    ended: bool
    faults: Sequence[BaseException]

    def wrong(self, way: Way) -> str | None:
        """Return what is wrong with it; `None` for nothing."""
        if self.faults or not self.ended:
            return f"the server itself failed: {self.faults[0]!r}" if self.faults else "hangs"
        if self.error is None:
            fine = way.fine or self.question in way.tidy
            return None if fine else f"takes it for an answer: {str(self.answer)[:200]}"
        text = str(self.error)
        if not isinstance(self.error, DataopsError):
            return f"traceback: {type(self.error).__name__}: {text[:200]}"
        if "\n" in text or not text.strip() or len(text) > 2000:
            return f"is not one line: {text[:200]!r}"
        shown = clients.SECRET in text or "issued" in text
        return f"shows a secret: {text}" if shown else None


def ask(name: str, way: Way, witness: Witness, timeout: float, *, later: bool) -> Outcome:
    """Ask a question of a server that misbehaves."""
    tls = clients.SERVER_TLS if clients.over_tls(name) or way.tls else None
    found: list[tuple[BaseException | None, object]] = []
    with Server(way.do, tls, handshake=not way.tls, later=later, elsewhere=witness.origin) as server:

        def run() -> None:
            try:
                found.append((None, clients.QUESTIONS[name](server.url, timeout)))
            except BaseException as error:  # noqa: BLE001 - judged below
                found.append((error, None))

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        thread.join(2 * LISTING * timeout + SLACK)
        error, answer = found[0] if found else (None, None)
        return Outcome(name, error, answer, bool(found), server.faults)


def ask_all(runs: Sequence[tuple[str, str, bool]], witness: Witness, timeout: float) -> dict[str, list[str]]:
    """Ask questions beside each other; returns what is wrong, by misbehaviour.

    Args:
        runs: Misbehaviour and question, and whether what is asked before it goes well.
        witness: The other origin.
        timeout: Timeout of each client, in seconds.
    """
    wrong: dict[str, list[str]] = {}
    with ThreadPoolExecutor(AT_ONCE) as beside:
        outcomes = [
            beside.submit(ask, question, WAYS[name], witness, timeout, later=later) for name, question, later in runs
        ]
        for (name, question, later), outcome in zip(runs, outcomes, strict=True):
            what = outcome.result().wrong(WAYS[name])
            if what is not None:
                wrong.setdefault(name, []).append(f"{question}{' (later)' if later else ''}: {what}")
    return wrong


def runs_of(name: str) -> list[tuple[str, str, bool]]:
    """Return what is asked of a server that misbehaves so."""
    way = WAYS[name]
    if way.large:
        return [(name, question, True) for question in LARGE]
    at_once = tuple(clients.QUESTIONS) if way.group == "body" else PLACES
    later = () if way.tls else AFTER_A_LOGIN
    return [*((name, question, False) for question in at_once), *((name, question, True) for question in later)]


@pytest.fixture(scope="module")
def witness() -> Iterator[Witness]:
    found = Witness("127.0.0.2")
    yield found
    found.close()


@pytest.fixture(scope="module")
def slow(witness: Witness) -> dict[str, list[str]]:
    """Return what is wrong with those that end at the deadline only, all of them at once."""
    return ask_all([run for name, way in WAYS.items() if way.slow for run in runs_of(name)], witness, TIMEOUT)


def test_there_are_enough() -> None:
    assert len(WAYS) >= 90
    assert sum(len(runs_of(name)) for name in WAYS) >= 4000


@pytest.mark.parametrize("name", [name for name, way in WAYS.items() if way.slow])
def test_a_server_without_an_end(name: str, slow: dict[str, list[str]]) -> None:
    assert name not in slow, "\n".join(slow[name])


@pytest.mark.parametrize("name", [name for name, way in WAYS.items() if not way.large and not way.slow])
def test_every_client(name: str, witness: Witness) -> None:
    wrong = ask_all(runs_of(name), witness, TIMEOUT_ELSE).get(name, [])
    assert not wrong, "\n".join(wrong)
    assert witness.connections == 0


@pytest.mark.parametrize("name", [name for name, way in WAYS.items() if way.large])
def test_memory_is_bounded(name: str, witness: Witness) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wrong = ask_all(runs_of(name), witness, TIMEOUT_LARGE).get(name, [])
    assert not wrong, "\n".join(wrong)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600 * MIB // 1024
