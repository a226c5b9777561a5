"""`dataops tables`."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from dataops_core.cli.invocation import Invocation, TyperContext
from dataops_core.cli.options import HELP, CatalogOption, RowOutput, RowsOption, TableArgument
from dataops_core.cli.terminal import Exit, exit_code, say
from dataops_core.errors import ClientError, ConfigError

if TYPE_CHECKING:
    from dataops_core.config import Settings
    from dataops_core.health.model import Finding
    from dataops_core.systems.iceberg.catalog import CatalogClient
    from dataops_core.systems.iceberg.settings import IcebergTableStage

TABLE_COLUMNS = (
    ("table", "varchar"),
    ("committed_at", "timestamp"),
    ("records", "bigint"),
    ("data_files", "bigint"),
    ("data_bytes", "bigint"),
    ("snapshots", "integer"),
    ("error", "varchar"),
)
MEASUREMENTS = ("data_files", "small_files", "data_file_bytes", "delete_files", "snapshots", "metadata_bytes")
TIMES = ("oldest_snapshot", "compacted")
HEALTH_COLUMNS = (
    ("table", "varchar"),
    ("health", "varchar"),
    *((name, "bigint") for name in MEASUREMENTS),
    *((name, "timestamp") for name in TIMES),
    ("findings", "varchar"),
)
SNAPSHOT_COLUMNS = (
    ("at", "timestamp"),
    ("operation", "varchar"),
    ("added", "bigint"),
    ("deleted", "bigint"),
    ("records", "bigint"),
    ("data_files", "bigint"),
    ("snapshot_id", "varchar"),
    ("current", "boolean"),
    ("refs", "varchar"),
    ("by", "varchar"),
)
FILE_COLUMNS = (("up_to_bytes", "bigint"), ("files", "bigint"), ("bytes", "bigint"), ("records", "bigint"))


app = typer.Typer(rich_markup_mode=None, context_settings=HELP, help="Iceberg's tables.")


@app.command("list")
def list_(context: TyperContext, component: CatalogOption = None, output: RowsOption = RowOutput.TABLE) -> int:
    """List the tables of all catalogs.

    Example: dataops tables list -o csv

    Exit codes: 0 done, 2 wrong use or settings, 3 no connection, 4 timed out, 130 interrupted.
    """
    return _list_tables(context.obj, component, output.value)


@app.command("health")
def health(
    context: TyperContext,
    table: Annotated[str | None, typer.Argument(metavar="TABLE", help="catalog.namespace.table. Default: all.")] = None,
    component: CatalogOption = None,
    output: RowsOption = RowOutput.TABLE,
) -> int:
    """Run the checks of Iceberg tables: files, snapshots and maintenance.

    Health is ok, unknown, or the severity of the worst finding. Tables outside pipelines use the default thresholds.
    Findings do not change the exit code.

    Example: dataops tables health lake.bronze.readings -o json

    Exit codes: 0 done, 1 no such table, 2 wrong use or settings, 3 no connection, 4 timed out, 130 interrupted.
    """
    return _list_health(context.obj, component, table, output.value)


@app.command("snapshots")
def snapshots(
    context: TyperContext, table: TableArgument, component: CatalogOption = None, output: RowsOption = RowOutput.TABLE
) -> int:
    """List the snapshots of a table, newest first, with their changes, references and writers.

    Example: dataops tables snapshots lake.bronze.readings

    Exit codes: 0 done, 1 no such table, 2 wrong use or settings, 3 no connection, 4 timed out, 130 interrupted.
    """
    return _list_snapshots(context.obj, component, table, output.value)


@app.command("files")
def files(
    context: TyperContext, table: TableArgument, component: CatalogOption = None, output: RowsOption = RowOutput.TABLE
) -> int:
    """Count the data files of a table's current snapshot by size; the last row counts the larger ones.

    Example: dataops tables files bronze.readings

    Exit codes: 0 done, 1 no such table, 2 wrong use or settings, 3 no connection, 4 timed out, 130 interrupted.
    """
    return _list_files(context.obj, component, table, output.value)


def _list_tables(invocation: Invocation, component: str | None, output: str) -> int:
    """Write all tables of all catalogs."""
    from dataops_core.cli.listing import say_unreadable, write_rows
    from dataops_core.systems.iceberg import inspect

    catalogs, code = _open(invocation, component)[1], Exit.OK
    results: list[tuple[str, inspect.TableSummary]] = []
    for name, client in catalogs.items():
        try:
            results += [(name, table) for table in inspect.tables(client)]
        except ClientError as error:  # an unavailable catalog does not hide the others
            if len(catalogs) == 1:
                raise
            results.append((name, inspect.TableSummary("*", unreadable=str(error))))
            code = exit_code(error)
    rows = [
        (f"{name}.{t.name}", t.committed_at, t.records, t.files, t.size, t.snapshots, t.unreadable)
        for name, t in results
    ]
    write_rows(output, TABLE_COLUMNS, rows)
    say_unreadable([table for _, table in results], "tables")
    return code


def _list_health(invocation: Invocation, component: str | None, name: str | None, output: str) -> int:
    """Write the health and the findings of one table, or of all tables."""
    from concurrent.futures import ThreadPoolExecutor

    from dataops_core.cli.listing import write_rows
    from dataops_core.systems.iceberg import inspect

    settings, catalogs = _open(invocation, component)
    code = Exit.OK
    if name is not None:
        rows = [_health(*_find(catalogs, name), settings, output)]
    else:
        results = []
        for client in catalogs.values():
            try:
                results += [(client, table.name) for table in inspect.tables(client)]
            except ClientError as error:  # an unavailable catalog does not hide the others
                if len(catalogs) == 1:
                    raise
                say(f"dataops: {error}")
                code = exit_code(error)
        with ThreadPoolExecutor(inspect.AT_ONCE) as pool:
            rows = list(pool.map(partial(_health_or_error, settings, output), results))
    write_rows(output, HEALTH_COLUMNS, rows)
    return code


def _health_or_error(settings: Settings, output: str, table: tuple[CatalogClient, str]) -> tuple[Any, ...]:
    """Return a table's row; a table that cannot be read becomes an unknown row."""
    client, name = table
    try:
        return _health(client, name, settings, output)
    except ClientError as error:
        unknown = [None] * (len(MEASUREMENTS) + len(TIMES))
        why = [{"sentence": str(error)}] if output in ("json", "jsonl") else str(error)
        return (f"{client.name}.{name}", "unknown", *unknown, why)


def _health(client: CatalogClient, name: str, settings: Settings, output: str) -> tuple[Any, ...]:
    from dataops_core.health.as_json import plain
    from dataops_core.health.checks.base import CheckInput, findings
    from dataops_core.systems.iceberg.probe import observe_table
    from dataops_core.systems.registry import registry
    from dataops_core.times import moment

    stage = _stage(settings, client.name, name)
    observation = observe_table(stage, client)
    now = datetime.now(UTC)
    rules = registry().stage(stage.kind)
    given = CheckInput(stage.name, observation.details, observation, None, (), (), now)
    result = findings(rules.checks, rules.details, stage, given)
    times = (observation.measurement(time) for time in TIMES)
    measurements = (observation.measurement(name) for name in MEASUREMENTS)
    return (
        f"{client.name}.{name}",
        result[0].severity.value if result else "ok",
        *(None if value is None else round(value) for value in measurements),
        *(None if value is None else moment(value, "s") for value in times),
        plain(result) if output in ("json", "jsonl") else "; ".join(map(_sentence, result)),
    )


def _sentence(finding: Finding) -> str:
    return f"{finding.check}: {finding.sentence}"


def _stage(settings: Settings, catalog: str, table: str) -> IcebergTableStage:
    """Return the stage of this table, for its thresholds; a stage with the default thresholds if there is none."""
    from dataops_core.systems.iceberg.settings import IcebergTableStage
    from dataops_core.systems.registry import registry

    default = IcebergTableStage(name=table, kind="iceberg_table", catalog=catalog, table=table)
    wanted = registry().object_of(default)
    stages = (stage for pipeline in settings.pipelines.values() for stage in pipeline.stages)
    return cast("IcebergTableStage", next((each for each in stages if registry().object_of(each) == wanted), default))


def _list_snapshots(invocation: Invocation, component: str | None, name: str, output: str) -> int:
    """Write the snapshots of a table, newest first."""
    from dataops_core.cli.listing import listed, write_rows
    from dataops_core.systems.iceberg import inspect

    client, table = _find(_open(invocation, component)[1], name)
    rows = [
        (
            s.at,
            s.operation,
            s.count("added-records"),
            s.count("deleted-records"),
            s.count("total-records"),
            s.count("total-data-files"),
            str(s.snapshot_id),
            s.current,
            listed(s.refs, output),
            s.by,
        )
        for s in inspect.table(client, table).snapshots
    ]
    write_rows(output, SNAPSHOT_COLUMNS, rows)
    return Exit.OK


def _list_files(invocation: Invocation, component: str | None, name: str, output: str) -> int:
    """Write the number of data files of a table's current snapshot by size."""
    from dataops_core.cli.listing import write_rows
    from dataops_core.systems.iceberg import inspect
    from dataops_core.units import count

    client, table = _find(_open(invocation, component)[1], name)
    sizes = inspect.file_sizes(client, table)
    rows = list(zip((*inspect.BUCKETS, None), sizes.files, sizes.sizes, sizes.records, strict=True))
    write_rows(output, FILE_COLUMNS, rows)
    read = "" if sizes.read == sizes.manifests else f", of which {count(sizes.read)} were read"
    deletes = f"{count(sizes.position_deletes)} position and {count(sizes.equality_deletes)} equality deletes"
    say(f"{count(sum(sizes.files))} data files, {deletes}, {count(sizes.manifests)} manifests{read}")
    return Exit.OK


def _open(invocation: Invocation, component: str | None) -> tuple[Settings, dict[str, CatalogClient]]:
    """Return the settings with the context's pipelines, and the catalogs: the named one, or all."""
    chosen = invocation.chosen()
    if component is not None or not chosen.components("iceberg"):
        name = chosen.component("iceberg", "Iceberg catalog", component)
        catalogs = {name: chosen.clients.need("iceberg", name)}
    else:
        catalogs = chosen.clients.all("iceberg")
    return chosen.settings.model_copy(update={"pipelines": chosen.pipelines}), catalogs


def _find(catalogs: dict[str, CatalogClient], name: str) -> tuple[CatalogClient, str]:
    """Return the catalog and the table of `catalog.namespace.table`; the catalog is optional if there is only one."""
    from dataops_core.config.check import no_such

    catalog, _, table = name.partition(".")
    if catalog in catalogs and table:
        return catalogs[catalog], table
    if len(catalogs) == 1 and table:
        return next(iter(catalogs.values())), name
    raise ConfigError(no_such("catalog", catalog, catalogs), hint="name a table as catalog.namespace.table")
