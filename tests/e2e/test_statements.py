"""The corpus of statements on the real Trino: what we say parses, parses there, and what we say does not, does not."""

from __future__ import annotations

import pytest
from tests.e2e.conftest import Stack
from tests.hostile.corpus import statements

from dataops_core.errors import QueryFailed
from dataops_core.systems.registry import load_settings
from dataops_core.systems.trino.client import TrinoClient
from dataops_core.systems.trino.settings import TrinoSettings

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

CORPUS = statements()


@pytest.mark.parametrize("section", ["read", "write", "ddl", "unknown", "broken"])
def test_trino_parses_what_we_parse(stack: Stack, section: str) -> None:
    (context,) = load_settings(stack.config).contexts.values()
    (trino,) = context.of(TrinoSettings).values()
    client = TrinoClient(trino)
    wrong = {}
    for statement in CORPUS[section]:
        try:
            text = statement.encode().decode()
        except UnicodeEncodeError:
            continue  # half a surrogate cannot be sent
        if text != text.strip():
            continue  # the client strips the ends of a statement
        try:
            client.fetch(f"PREPARE p FROM\n{text}", within=30.0)
            said = ""
        except QueryFailed as error:
            said = str(error)
        if ("SYNTAX_ERROR" in said) is not (section == "broken"):
            wrong[statement] = said or "Trino parses it"
    assert wrong == {}
