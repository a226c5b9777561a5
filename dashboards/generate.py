"""Write Grafana's dashboards, `dashboards/grafana/*.json`, from what is said here. `make dashboards` runs it.

With `--check` nothing is written, and the exit code tells whether something would be.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Protocol

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, statetimeline, table, text, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dataops_core.systems.base import System
from dataops_core.systems.registry import registry

GRAFANA = Path(__file__).parent / "grafana"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
RUNBOOKS = "https://runbooks.example.com/dataops"
GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "green", "yellow", "orange", "red", "blue", "#8e8e8e"
NEUTRAL = "text"
"""Grafana's colour of a text: a value without a threshold is neither good nor bad."""

STATUS = {"ok": GREEN, "warning": YELLOW, "unknown": GREY, "critical": RED}
STATE = {
    "caught_up": GREEN,
    "idle": BLUE,
    "affected": "semi-dark-yellow",
    "behind": YELLOW,
    "slow": ORANGE,
    "unknown": GREY,
    "stuck": RED,
    "failed": "dark-red",
}
"""Words in the order of their numbers in a panel, with their colours; the word is always shown beside it."""


class Panel(Protocol):
    """What the builders of all kinds of panels have in common."""

    def build(self) -> Any:  # noqa: ANN401 - the library's own class
        """Return the panel."""


def of(*matchers: str, **labels: str) -> str:
    """Return a selector: by the job that is chosen, by matchers as they are, and by labels with their values."""
    equal = (f'{label}="{value}"' for label, value in labels.items())
    return "{" + ", ".join(('job=~"$job"', *matchers, *equal)) + "}"


def worst(metric: str, label: str, words: Sequence[str], by: str, *matchers: str) -> str:
    """Return an expression for the number of the word whose series is 1."""
    series = [f"{metric}{of(*matchers, **{label: word})} * {number}" for number, word in enumerate(words)]
    return f"max by ({by}) (\n  " + "\n  or\n  ".join(series) + "\n)"


PIPELINE = 'pipeline=~"$pipeline"'
NO_INTERNAL = 'topic!~"__.+"'
TRINO_PROBES = 'probe=~"trino|trino_view"'


# Panels


def query(expression: str, legend: str = "") -> prometheus.Dataquery:
    """Return a query over time."""
    return prometheus.Dataquery().datasource(SOURCE).expr(expression).legend_format(legend).range()


def newest(expression: str, legend: str) -> prometheus.Dataquery:
    """Return a query of the present, for one figure: over time, a series that has ended would go on being shown."""
    return prometheus.Dataquery().datasource(SOURCE).expr(expression).legend_format(legend).instant()


def now(expression: str) -> prometheus.Dataquery:
    """Return a query of the present, as a table."""
    return prometheus.Dataquery().datasource(SOURCE).expr(expression).format(PromQueryFormat.TABLE).instant()


def graph(
    title: str,
    says: str,
    queries: Mapping[str, str],
    *,
    unit: str = "s",
    span: int = 12,
    stacked: bool = False,
    to: str = "",
) -> timeseries.Panel:
    """Return a graph of expressions by their legends; a click on a series leads to the address `to`."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(says)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .span(span)
        .height(8)
        .show_points(VisibilityMode.NEVER)
        .fill_opacity(40 if stacked else 5)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("age"))
    if to:
        panel.data_links([link("More details", to)])
    for legend, expression in queries.items():
        panel.with_target(query(expression, legend))
    return panel


def figure(
    title: str,
    says: str,
    expression: str,
    legend: str,
    *,
    unit: str = "none",
    words: Mapping[str, str] | None = None,
    steps: Sequence[tuple[float | None, str]] = ((None, NEUTRAL),),
    span: int = 6,
) -> stat.Panel:
    """Return one figure for each series; `words` names numbers, `steps` colours them."""
    panel = (
        stat.Panel()
        .title(title)
        .description(says)
        .datasource(SOURCE)
        .unit(unit)
        .span(span)
        .height(5)
        .no_value("unknown")
        .graph_mode(BigValueGraphMode.NONE)
        .color_mode(BigValueColorMode.BACKGROUND if words else BigValueColorMode.VALUE)
        .text_mode(BigValueTextMode.VALUE_AND_NAME)
        .thresholds(thresholds(steps))
        .with_target(newest(expression, legend))
    )
    return panel.mappings([named(words)]) if words else panel


def states(title: str, says: str, expression: str, legend: str, words: Mapping[str, str]) -> statetimeline.Panel:
    """Return a band over time for each series, with the words of its states."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(says)
        .datasource(SOURCE)
        .span(24)
        .height(9)
        .mappings([named(words)])
        .show_value(VisibilityMode.AUTO)
        .with_target(query(expression, legend))
    )


def rows(
    title: str,
    says: str,
    expression: str,
    columns: Mapping[str, str],
    *,
    unit: str = "none",
    to: str = "",
    on: str = "",
) -> table.Panel:
    """Return a table of the present.

    `columns` are labels with their headings, and `Value` where it is shown. A click on the column `on` leads to the
    address `to`.
    """
    hidden = {"Time": True} | ({} if "Value" in columns else {"Value": True})
    panel = (
        table.Panel()
        .title(title)
        .description(says)
        .datasource(SOURCE)
        .unit(unit)
        .span(12)
        .height(8)
        .no_value("none")
        .with_target(now(expression))
        .with_transformation(
            DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": hidden,
                    "renameByName": dict(columns),
                    "indexByName": {name: place for place, name in enumerate(columns)},
                },
            )
        )
    )
    if to:
        value = [{"title": "Open", "url": to, "targetBlank": True}]
        panel.override_by_name(columns[on], [DynamicConfigValue("links", value)])
    return panel


def note(title: str, content: str, *, span: int = 12, height: int = 8) -> text.Panel:
    """Return a text."""
    return text.Panel().title(title).span(span).height(height).content(content)


def link(title: str, url: str) -> dashboard.DashboardLink:
    """Return a link that a click on a series offers."""
    return dashboard.DashboardLink(title).type(DashboardLinkType.LINK).url(url)


def named(words: Mapping[str, str]) -> ValueMap:
    """Return words and colours for the numbers from 0."""
    return ValueMap(
        {
            str(number): ValueMappingResult(text=word.replace("_", " "), color=colour, index=number)
            for number, (word, colour) in enumerate(words.items())
        }
    )


def thresholds(steps: Sequence[tuple[float | None, str]]) -> dashboard.ThresholdsConfig:
    """Return from which value on which colour is shown."""
    found = [Threshold(value=value, color=colour) for value, colour in steps]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(found)


def by_system(system: str) -> str:
    """Return the address of a system's dashboard, for the same time, job and pipeline."""
    return f"/d/dataops-{system}?${{__url_time_range}}&${{job:queryparam}}&${{pipeline:queryparam}}"


# Dashboards

STAGE_SYSTEM = by_system("${__field.labels.system}")
STUCK = """\
**On your own machine**, with the same settings:

```
dataops probe PIPELINE
dataops-tui
```

In the console, `:pipeline PIPELINE` shows the stages and the verdict. Enter shows all values of a stage. `c` copies the
command of the remedy.
"""


def stages(system: str) -> list[Panel]:
    """Return what every system's stages have: state, lag, records that wait."""
    mine = of(PIPELINE, system=system)
    return [
        states(
            "State of the stages",
            "The state of each stage. The verdict on the dashboard Pipelines names the cause.",
            worst("dataops_stage_state", "state", list(STATE), "pipeline, stage", PIPELINE, f'system="{system}"'),
            "{{pipeline}} / {{stage}}",
            STATE,
        ),
        graph(
            "Hop lag",
            "Progress time of the input minus progress time of the stage.",
            {"{{pipeline}} / {{stage}}": f"max by (pipeline, stage) (dataops_stage_lag_seconds{mine})"},
        ),
        graph(
            "Lag in records",
            "Records that the stage has not processed yet; absent if its system does not count them.",
            {"{{pipeline}} / {{stage}}": f"max by (pipeline, stage) (dataops_stage_lag_records{mine})"},
            unit="short",
        ),
    ]


def pipelines() -> list[Panel]:
    """Where is the data stuck, and since when?"""
    missed = "pipeline:dataops_data_age_missed"
    return [
        figure(
            "Verdict",
            "The status of each pipeline. Unknown is neither good nor bad.",
            worst("dataops_pipeline_status", "status", list(STATUS), "pipeline", PIPELINE),
            "{{pipeline}}",
            words=STATUS,
            span=8,
        ),
        figure(
            "Data age",
            "Age of the newest complete data at the last stage.",
            f"max by (pipeline) (dataops_pipeline_data_age_seconds{of(PIPELINE)})",
            "{{pipeline}}",
            unit="s",
            span=8,
        ),
        figure(
            "Objective met, in the selected time range",
            "Share of the time in which the data age met its objective. A silent source does not count.",
            f"1 - avg_over_time({missed}:bool{of(PIPELINE)}[$__range])",
            "{{pipeline}}",
            unit="percentunit",
            steps=((None, RED), (0.99, GREEN)),
            span=8,
        ),
        rows(
            "Causes",
            "The finding that each verdict rests on: the cause, without the affected stages.",
            f"max by (pipeline, stage, check_id, component) (dataops_pipeline_finding{of(PIPELINE)}) > 0",
            {"pipeline": "Pipeline", "stage": "Stage", "check_id": "Finding", "component": "Component"},
        ),
        rows(
            "Firing alerts",
            "A click on an alert opens its runbook.",
            'max by (alertname, severity, pipeline, stage, component) (\n  ALERTS{alertname=~"Dataops.+",'
            ' alertname!="DataopsWatchdog", alertstate="firing"}\n)',
            {
                "alertname": "Alert",
                "severity": "Severity",
                "pipeline": "Pipeline",
                "stage": "Stage",
                "component": "Component",
            },
            to="${runbooks}/${__value.text}.md",
            on="alertname",
        ),
        rows(
            "Findings of stages",
            "All findings of the checks of stages, also if the verdict rests on another one.",
            f"max by (pipeline, stage, check_id, severity) (dataops_stage_finding{of(PIPELINE)}) > 0",
            {"pipeline": "Pipeline", "stage": "Stage", "check_id": "Finding", "severity": "Severity"},
        ),
        rows(
            "Findings of components",
            "All findings of the checks of components.",
            f"max by (component, check_id, severity) (dataops_component_finding{of()}) > 0",
            {"component": "Component", "check_id": "Finding", "severity": "Severity"},
        ),
        states(
            "State of each stage",
            "The state of each stage. If one is stuck, the stages downstream are affected.",
            worst("dataops_stage_state", "state", list(STATE), "pipeline, stage", PIPELINE),
            "{{pipeline}} / {{stage}}",
            STATE,
        ),
        graph(
            "Data age, hop by hop: $pipeline",
            "Time since the source's newest record, and the lag of each stage, stacked. On one path their sum is the "
            "data age. The widest band is its largest part. A click on a stage opens the dashboard of its system.",
            {
                "source": f"max by (pipeline) (dataops_pipeline_source_age_seconds{of(PIPELINE)})",
                "{{stage}}": f"max by (pipeline, stage, system) (dataops_stage_lag_seconds{of(PIPELINE)})",
            },
            stacked=True,
            to=STAGE_SYSTEM,
        ).repeat("pipeline"),
        graph(
            "Data age and objective",
            "The data age of each pipeline, and its objective from the settings.",
            {
                "{{pipeline}}": f"max by (pipeline) (dataops_pipeline_data_age_seconds{of(PIPELINE)})",
                "{{pipeline}}: objective": f"max by (pipeline) (dataops_pipeline_objective_seconds{of(PIPELINE)})",
            },
        ),
        graph(
            "Burn rate of the error budget",
            "At 1, the budget of 28 days lasts 28 days. 14.4 over 1 hour and 6 over 6 hours page.",
            {f"{{{{pipeline}}}}, {w}": f"{missed}:avg{w}{of(PIPELINE)} / 0.01" for w in ("1h", "6h", "1d", "3d")},
            unit="none",
        ),
        graph(
            "Time since the newest record",
            "Time since the newest record at the source of each pipeline.",
            {"{{pipeline}}": f"max by (pipeline) (dataops_pipeline_source_age_seconds{of(PIPELINE)})"},
        ),
        graph(
            "ETA",
            "Time until caught up at the current rates; only while the lag of the stage falls.",
            {"{{pipeline}} / {{stage}}": f"max by (pipeline, stage) (dataops_stage_eta_seconds{of(PIPELINE)})"},
        ),
        note("More details", STUCK),
    ]


def kafka() -> list[Panel]:
    """Brokers, topics and consumer groups of the whole cluster."""
    return [
        figure(
            "Brokers",
            "Brokers that are up.",
            f"max by (job) (dataops_kafka_brokers{of()})",
            "{{job}}",
            steps=((None, RED), (1, GREEN)),
        ),
        figure(
            "Partitions without a leader",
            "They can be neither written nor read.",
            f"sum by (job) (dataops_kafka_topic_offline_partitions{of()})",
            "{{job}}",
            steps=((None, GREEN), (1, RED)),
        ),
        figure(
            "Under-replicated partitions",
            "Partitions with fewer in-sync replicas than replicas.",
            f"sum by (job) (dataops_kafka_topic_under_replicated_partitions{of()})",
            "{{job}}",
            steps=((None, GREEN), (1, ORANGE)),
        ),
        figure(
            "Age of the cluster scan",
            "Time since the newest scan of the whole cluster.",
            f"max by (job) (time() - dataops_exporter_survey_timestamp_seconds{of(survey='kafka')})",
            "{{job}}",
            unit="s",
        ),
        *stages("kafka"),
        graph(
            "Throughput in",
            "Records per second and topic, from the high watermarks; the ten busiest, without Kafka's internal topics.",
            {
                "{{topic}}": "topk(10, sum by (topic) "
                f"(clamp_min(deriv(dataops_kafka_topic_high_watermark{of(NO_INTERNAL)}[$__rate_interval]), 0)))"
            },
            unit="cps",
        ),
        graph(
            "Lag of consumer groups",
            "Lag of each group in records; the ten largest.",
            {"{{group}}": f"topk(10, max by (group) (dataops_kafka_group_lag_records{of()}))"},
            unit="short",
        ),
        graph(
            "Lag of consumer groups in time",
            "Estimated age of each group's oldest unread record; the ten largest.",
            {"{{group}}": f"topk(10, max by (group) (dataops_kafka_group_lag_seconds{of()}))"},
            unit="s",
        ),
        rows(
            "Consumer groups",
            "Lag by group and topic.",
            f"max by (group, topic) (dataops_kafka_group_topic_lag_records{of()}) > 0",
            {"group": "Group", "topic": "Topic", "Value": "Lag in records"},
            unit="short",
        ),
        rows(
            "Groups without members",
            "Groups without a consumer.",
            f"max by (group) (dataops_kafka_group_members{of()}) == 0",
            {"group": "Group"},
        ),
    ]


def spark() -> list[Panel]:
    """Structured Streaming queries, from their checkpoints."""
    return [
        *stages("spark"),
        graph(
            "ETA",
            "Time until caught up at the current rates; only while the lag of the query falls.",
            {
                "{{pipeline}} / {{stage}}": "max by (pipeline, stage) "
                f"(dataops_stage_eta_seconds{of(PIPELINE, system='spark')})"
            },
        ),
        graph(
            "Batch duration",
            "Median of the newest batches. If it exceeds the trigger interval, the query has no spare capacity.",
            {
                "{{pipeline}} / {{stage}}": "max by (pipeline, stage) "
                f"(dataops_stage_figure{of(PIPELINE, figure='batch_duration')})"
            },
        ),
        rows(
            "Lost checkpoints",
            "A different query writes to the table: records of the previous query may be in it twice.",
            "max by (catalog, table_namespace, table) "
            f"(dataops_iceberg_writer_change_timestamp_seconds{of()}) * 1000 > (time() - 7 * 86400) * 1000",
            {"catalog": "Catalog", "table_namespace": "Namespace", "table": "Table", "Value": "Since"},
            unit="dateTimeAsIso",
        ),
    ]


TABLE = "{{catalog}}.{{table_namespace}}.{{table}}"


def tables() -> list[Panel]:
    """Iceberg tables of the pipelines."""

    def by_table(metric: str) -> dict[str, str]:
        return {TABLE: f"max by (catalog, table_namespace, table) ({metric}{of()})"}

    return [
        *stages("iceberg"),
        graph(
            "Time since the newest commit",
            "Age of the newest commit of each table.",
            {
                TABLE: "time() - max by (catalog, table_namespace, table) "
                f"(dataops_iceberg_commit_timestamp_seconds{of()})"
            },
        ),
        graph(
            "Rows",
            "Rows of each table, not reduced by delete files.",
            by_table("dataops_iceberg_records"),
            unit="short",
        ),
        graph(
            "Data files",
            "Data files of the current snapshot. A stream writes many small ones; compaction reduces their number.",
            by_table("dataops_iceberg_data_files"),
            unit="short",
        ),
        graph(
            "Rows per data file",
            "Average; it falls if small files accumulate.",
            {
                TABLE: f"max by (catalog, table_namespace, table) (dataops_iceberg_records{of()})\n/\n"
                f"max by (catalog, table_namespace, table) (dataops_iceberg_data_files{of()} > 0)"
            },
            unit="short",
        ),
        graph(
            "Snapshots",
            "Snapshots in the metadata of each table; maintenance expires old ones.",
            by_table("dataops_iceberg_snapshots"),
            unit="short",
        ),
        graph(
            "Records rejected in the last hour",
            "Records that could not be read; only if the settings name the rejects table.",
            {
                "{{pipeline}} / {{stage}}": "max by (pipeline, stage) "
                f"(dataops_stage_figure{of(PIPELINE, figure='records_rejected_recent')})"
            },
            unit="short",
        ),
        graph(
            "Delete files",
            "Each query must apply them; compaction removes them.",
            by_table("dataops_iceberg_delete_files"),
            unit="short",
        ),
        note(
            "More details",
            'Query Trino: `dataops sql \'SELECT * FROM lake.bronze."readings$snapshots" ORDER BY committed_at DESC'
            " LIMIT 5'`, or `:sql` in the console.",
            height=4,
        ),
    ]


def airflow() -> list[Panel]:
    """DAGs: of the pipelines, and of the whole instance."""
    return [
        figure(
            "DAGs",
            "By state; the file of a broken DAG fails to load.",
            f"max by (state) (dataops_airflow_dags{of()})",
            "{{state}}",
            span=12,
        ),
        rows(
            "Failed or broken DAGs",
            "The newest finished run failed and no run is active, or the file fails to load.",
            f"max by (dag_id) (dataops_airflow_dag_failed{of()}) > 0\nor\n"
            f"max by (dag_id) (dataops_airflow_dag_state{of(state='broken')}) > 0",
            {"dag_id": "DAG"},
        ),
        *stages("airflow"),
        graph(
            "Time since the newest success",
            "Time since the end of the newest run in which a task succeeded.",
            {"{{dag_id}}": f"time() - max by (dag_id) (dataops_airflow_dag_last_success_timestamp_seconds{of()})"},
        ),
        graph(
            "Run duration",
            "Duration of the newest successful run of each DAG.",
            {"{{dag_id}}": f"max by (dag_id) (dataops_airflow_dag_run_duration_seconds{of()})"},
        ),
        note(
            "More details",
            "`dataops dag list` lists the DAGs, `dataops dag trigger DAG_ID --wait` runs one. In the console: `:dags`.",
            height=4,
        ),
    ]


def trino() -> list[Panel]:
    """What Trino serves, and its load."""
    return [
        *stages("trino"),
        graph(
            "Age of the served snapshots",
            "Time since the commit of the newest stamped snapshot that Trino serves of each relation.",
            {"{{relation}}": f"time() - max by (relation) (dataops_trino_commit_timestamp_seconds{of()})"},
        ),
        graph(
            "Response time of Trino",
            "Duration of the newest run of each probe that queries Trino.",
            {"{{target}}": f"max by (target) (dataops_probe_duration_seconds{of(TRINO_PROBES)})"},
        ),
        graph(
            "Queued queries",
            "Queries that wait for other queries or for resources.",
            {"{{component}}": f"max by (component) (dataops_component_figure{of(figure='queries_queued')})"},
            unit="short",
        ),
        figure(
            "Trino",
            "Up if it responds and reports that it is healthy.",
            f"max by (job) (dataops_component_up{of(component='trino')})",
            "{{job}}",
            words={"down": RED, "up": GREEN},
        ),
    ]


def of_system(system: System) -> list[Panel]:
    """Return the dashboard of a system that has none of its own below: its stages, and all further values of them."""
    mine = f'system="{system.name}"'
    return [
        *stages(system.name),
        graph(
            "Other durations",
            "All durations of the stages, by name.",
            {"{{stage}}: {{figure}}": _figures(mine, "s")},
        ),
        graph(
            "Other values",
            "All counts of the stages, by name.",
            {"{{stage}}: {{figure}}": _figures(mine, "")},
            unit="short",
        ),
    ]


def _figures(mine: str, unit: str) -> str:
    selected = of(PIPELINE, mine, f'unit="{unit}"')
    return f"max by (pipeline, stage, figure) (dataops_stage_figure{selected})"


def exporter() -> list[Panel]:
    """Whether the metrics are complete and up to date."""
    return [
        figure(
            "Scraped",
            "Whether Prometheus can scrape the exporter.",
            f"min by (job, instance) (up{of()})",
            "{{instance}}",
            words={"down": RED, "up": GREEN},
        ),
        figure(
            "Age of the health snapshot",
            "Age of the snapshot that all metrics come from. If it is too old, it is not served.",
            f"max by (instance) (dataops_exporter_snapshot_age_seconds{of()})",
            "{{instance}}",
            unit="s",
            steps=((None, GREEN), (30, ORANGE), (60, RED)),
        ),
        figure(
            "Settings",
            "Rejected if the newest version of the file is invalid; the previous version stays active.",
            f"min by (file) (dataops_exporter_config_last_reload_successful{of()})",
            "{{file}}",
            words={"rejected": RED, "valid": GREEN},
        ),
        figure(
            "Dropped series",
            "Series above the limit `max_series`, for each kind of object.",
            f"max by (kind) (dataops_exporter_dropped_series{of()})",
            "{{kind}}",
            steps=((None, GREEN), (1, ORANGE)),
        ),
        figure(
            "Components",
            "Up if the component responds and reports that it is healthy.",
            f"max by (component) (dataops_component_up{of()})",
            "{{component}}",
            words={"down": RED, "up": GREEN},
            span=24,
        ),
        rows(
            "Failing probes",
            "Their targets are not monitored.",
            f"max by (probe, target) (dataops_probe_success{of()}) == 0",
            {"probe": "Probe", "target": "Target"},
        ),
        graph(
            "Probe duration",
            "Duration of the newest run of each probe; at `probe_timeout` it counts as failed.",
            {"{{probe}} {{target}}": f"topk(15, max by (probe, target) (dataops_probe_duration_seconds{of()}))"},
        ),
        graph(
            "Requests",
            "Per second, by page and status code.",
            {
                "{{handler}} {{code}}": "sum by (handler, code) "
                f"(rate(dataops_exporter_http_requests_total{of()}[$__rate_interval]))"
            },
            unit="reqps",
        ),
        graph(
            "Errors of the Kafka scan",
            "Kinds of errors because of which the newest cluster scan lacks a group or a partition.",
            {"{{job}}": f"max by (job) (dataops_exporter_survey_failures{of()})"},
            unit="short",
        ),
        graph(
            "Age of the cluster scans",
            "Time since all topics, groups and DAGs were read, and the configured interval.",
            {
                "{{survey}}": f"time() - max by (survey) (dataops_exporter_survey_timestamp_seconds{of()})",
                "{{survey}}: interval": f"max by (survey) (dataops_exporter_survey_interval_seconds{of()})",
            },
        ),
        graph(
            "Objects",
            "Topics, groups, tables and DAGs: exported, denied by the settings, or dropped.",
            {"{{kind}}: {{outcome}}": f"max by (kind, outcome) (dataops_exporter_objects{of()})"},
            unit="short",
        ),
        rows(
            "Versions",
            "The running version of each exporter.",
            f"max by (job, instance, version) (dataops_build_info{of()})",
            {"job": "Job", "instance": "Instance", "version": "Version"},
        ),
        note(
            "More details",
            "Without the exporter: `dataops probe`. Settings: `dataops config validate`. One pipeline, with reasons: "
            "`/probe?pipeline=PIPELINE&debug=true` at the exporter.",
            height=4,
        ),
    ]


DASHBOARDS: dict[str, tuple[str, Callable[[], list[Panel]]]] = {
    "pipelines": ("Pipelines", pipelines),
    "kafka": ("Kafka", kafka),
    "spark": ("Spark", spark),
    "iceberg": ("Tables", tables),
    "airflow": ("Airflow", airflow),
    "trino": ("Trino", trino),
    "exporter": ("Exporter", exporter),
}
"""By the name of the file; a system's dashboard is called as the label `system` has it."""
DASHBOARDS |= {
    system.name: (system.name.replace("_", " ").capitalize(), partial(of_system, system))
    for system in registry().systems()
    if system.stage_kinds and system.name not in DASHBOARDS
}


def build(name: str) -> str:
    """Return a dashboard as JSON."""
    title, panels = DASHBOARDS[name]
    builder = (
        dashboard.Dashboard(f"DataOps / {title}")
        .uid(f"dataops-{name}")
        .description(description(panels))
        .tags(["dataops", "generated"])
        .timezone("browser")
        .time("now-6h", "now")
        .refresh("30s")
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(choice("job", "Exporter", "label_values(dataops_build_info, job)"))
        .with_variable(choice("pipeline", "Pipeline", 'label_values(dataops_pipeline_status{job=~"$job"}, pipeline)'))
        .with_variable(dashboard.TextBoxVariable("runbooks").label("Runbooks").default_value(RUNBOOKS))
        .link(
            dashboard.DashboardLink("DataOps")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["dataops"])
            .as_dropdown(False)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for panel in panels():
        builder.with_panel(panel)  # type: ignore[arg-type] # a protocol is enough
    found = json.loads(JSONEncoder().encode(builder.build()))
    numbered(found["panels"])
    return json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def description(panels: Callable[[], list[Panel]]) -> str:
    """Return what a dashboard shows."""
    if isinstance(panels, partial):
        return f"Stages of the system {panels.args[0].name}."
    return (panels.__doc__ or "").strip()


def choice(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """Return a variable whose values Prometheus knows; all of them at first."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": query, "refId": name})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )


def numbered(panels: list[dict[str, Any]]) -> None:
    """Give panels and queries the ids that Grafana would give them, so that links to a panel stay."""
    for panel, number in zip(panels, count(1), strict=False):
        panel["id"] = number
        for target, letter in zip(panel.get("targets", []), ascii_uppercase, strict=False):
            target["refId"] = letter


def main() -> int:
    """Write what has changed, or with `--check` say what would."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true", help="write nothing; exit code 1 where something would change")
    check = options.parse_args().check
    wanted = {GRAFANA / f"{name}.json": build(name) for name in DASHBOARDS}
    stale = [path for path, content in wanted.items() if not path.exists() or path.read_text() != content]
    extra = sorted(set(GRAFANA.glob("*.json")) - set(wanted))
    if not check:
        GRAFANA.mkdir(exist_ok=True)
        for path in stale:
            path.write_text(wanted[path])
        for path in extra:
            path.unlink()
    for path in [*stale, *extra]:
        print(f"{'stale: run `make dashboards`' if check else 'written'}: {path.name}")
    return 1 if check and (stale or extra) else 0


if __name__ == "__main__":
    sys.exit(main())
