"""The Tables screens, on a real Iceberg table in a folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.console.conftest import SIZES, Console
from tests.lake import lake
from tests.screen import shown, until_shown

from dataops_core.systems.clients import Clients
from dataops_core.systems.iceberg.catalog import CatalogClient
from dataops_tui.messages import Fetched
from dataops_tui.screens.tables import TableDetailScreen


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> CatalogClient:
    return lake(tmp_path_factory.mktemp("lake"))


@pytest.fixture
def console_of_lake(console: Console, catalog: CatalogClient) -> Console:
    given = {kind: console.monitor.clients.get(kind) for kind in ("kafka", "airflow", "trino")}
    console.monitor.clients = Clients(console.app.context_settings, lake=catalog, **given)
    return console


@pytest.mark.parametrize("size", SIZES)
async def test_a_table_in_all_its_sections(console_of_lake: Console, size: tuple[int, int]) -> None:
    console = console_of_lake
    async with console.app.run_test(size=size, notifications=True) as pilot:
        await pilot.press("colon", *"tables", "enter")
        text = await until_shown(console.app, lambda text: "lake.gold.shipments" in text, "the tables")
        assert "lake.gold.empty" in text
        await pilot.press("j", "enter")
        text = await until_shown(console.app, lambda text: "● current" in text, "the snapshots")
        assert isinstance(console.app.screen, TableDetailScreen)
        assert "append" in text
        assert "+2" in text
        await pilot.press("2")
        text = await until_shown(console.app, lambda text: "released-1" in text, "the references")
        assert "  1h  " in text, "the maximum age of the branch's snapshots"
        await pilot.press("3")
        text = await until_shown(console.app, lambda text: "identity" in text, "the schema")
        assert "where it goes" in text
        await pilot.press("4")
        text = await until_shown(console.app, lambda text: "1 data files" in text, "the files")
        assert "██" in text
        await pilot.press("5")
        await until_shown(console.app, lambda text: "quality" in text, "the properties")
        await pilot.press("enter")
        assert '"owner": "quality"' in shown(console.app)


async def test_rows_made_in_the_background_for_another_section_are_not_shown(console_of_lake: Console) -> None:
    console = console_of_lake
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await pilot.press("colon", *"tables", "space", *"lake.gold.shipments", "enter")
        await until_shown(console.app, lambda text: "● current" in text, "the snapshots")
        screen = console.app.screen
        assert isinstance(screen, TableDetailScreen)
        found = screen.result
        assert found is not None
        now = datetime.now(UTC)
        late = Fetched((console.app.context_name, None), found, now, screen.rows(found, now), screen._filling)
        await pilot.press("3")
        await until_shown(console.app, lambda text: "identity" in text, "the schema")
        screen.post_message(late)
        await pilot.pause()
        assert "identity" in shown(console.app)
        assert "append" not in shown(console.app)


async def test_a_snapshot_or_a_tag_is_looked_at_with_sql(console_of_lake: Console) -> None:
    console = console_of_lake
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await pilot.press("colon", *"tables", "space", *"lake.gold.shipments", "enter")
        await until_shown(console.app, lambda text: "● current" in text, "the snapshots")
        await pilot.press("G", "enter")
        await until_shown(console.app, lambda text: "1 rows" in text, "the rows")
        assert console.app.current_mode == "sql"
        await pilot.press("f2", *"tables", "space", *"lake.gold.shipments", "enter")
        await until_shown(console.app, lambda text: "● current" in text, "the snapshots")
        await pilot.press("2", "G", "enter")
        await until_shown(console.app, lambda text: "'released-1'" in text, "the statement")
        await until_shown(console.app, lambda _: len(console.trino.asked) == 2, "that it is sent")
    first, tagged = console.trino.asked
    assert first.startswith("SELECT * FROM lake.gold.shipments FOR VERSION AS OF ")
    assert first.split(" AS OF ")[1].split()[0].isdecimal()
    assert tagged.endswith("FOR VERSION AS OF 'released-1' LIMIT 100")


async def test_a_table_that_is_not_there_and_a_catalog_that_is_not(console_of_lake: Console, tmp_path: Path) -> None:
    console = console_of_lake
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await pilot.press("f2", *"tables", "space", *"lake.gold.nothing", "enter")
        await until_shown(console.app, lambda text: "gold.nothing" in text.split("cannot")[0], "why there is nothing")
        await pilot.press("f2", *"tables", "space", *"other.gold.x", "enter")
        await until_shown(console.app, lambda text: "no catalog other; it has lake" in text, "which there are")
