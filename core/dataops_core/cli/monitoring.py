"""`dataops monitoring`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dataops_core.cli.invocation import Chosen, Invocation, TyperContext
from dataops_core.cli.options import HELP, AlertSeverity, ConfirmOption, ListOutput, YesOption, confirmation, names_of
from dataops_core.cli.terminal import Exit, ask_word, can_ask, write_json
from dataops_core.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from dataops_core.diagnostics.base import Report, Step
    from dataops_core.diagnostics.monitoring import Check
    from dataops_core.systems.prometheus.settings import AlertmanagerSettings, AlertsSettings, PrometheusSettings


app = typer.Typer(rich_markup_mode=None, context_settings=HELP, help="The central Prometheus.")


@app.command("verify")
def verify(
    context: TyperContext,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The central Prometheus, without /api. Default: that of the context."),
    ] = None,
    alertmanager: Annotated[
        str | None, typer.Option(metavar="URL", help="The central Alertmanager. Default: that of the context.")
    ] = None,
    components: Annotated[
        list[str] | None,
        typer.Option(
            "--component",
            metavar="NAME",
            help="The Prometheus or Alertmanager component, if the context has several; repeatable.",
            autocompletion=names_of("component", "prometheus", "alertmanager"),
        ),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A bearer token for the given addresses.")
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CA certificates for the given addresses, in PEM format.")
    ] = None,
    job: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="The exporter's job. Default: .*dataops.*, as in the rules."),
    ] = None,
    left_out: Annotated[
        list[str] | None,
        typer.Option("--left-out", metavar="NAME", help="A rule that is omitted on purpose; repeatable."),
    ] = None,
    send_test_alert: Annotated[
        bool,
        typer.Option(
            "--send-test-alert", help="Send the alert DataopsTest to Alertmanager, and check that it arrives."
        ),
    ] = False,
    severity: Annotated[
        AlertSeverity, typer.Option(help="Severity of the test alert; the shipped routes send info to nobody.")
    ] = AlertSeverity.INFO,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=VALUE", help="A label of the test alert; repeatable."),
    ] = None,
    receiver: Annotated[
        str | None, typer.Option(metavar="NAME", help="Expected receiver of the test alert. Default: any.")
    ] = None,
    output: Annotated[ListOutput, typer.Option("--output", "-o", help="Output format.")] = ListOutput.TABLE,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Check that a central Prometheus scrapes the exporter, has its rules, and delivers its alerts.

    It queries only Prometheus and Alertmanager, and needs no settings with --url. Values that they hide are unknown.
    A test alert may page somebody: it requires confirmation, is audited, and resolves after 5 minutes.

    Example: dataops monitoring verify --url https://prometheus.example.com --job dataops-exporter

    Exit codes: 0 no failure, at most warnings, 1 something fails, 2 wrong use or settings or refused,
    3 something is unknown, 130 interrupted.
    """
    confirmed = confirmation(confirm, yes=yes)
    return _verify(
        context.obj,
        Addresses(url, alertmanager, token_file, ca_file, components or ()),
        Expected(job, left_out or [], receiver),
        Sending(severity.value, label or [], confirmed) if send_test_alert else None,
        as_json=output is ListOutput.JSON,
    )


@dataclass(frozen=True)
class Addresses:
    """The Prometheus and the Alertmanager to query, by address or by the name of a component of the context.

    Attributes:
        token_file: File with a bearer token for these addresses.
        ca_file: File with the CA certificates that are trusted for these addresses.
        components: Names of the context's Prometheus and Alertmanager components.
    """

    prometheus: str | None
    alertmanager: str | None
    token_file: Path | None
    ca_file: Path | None
    components: Sequence[str] = ()


@dataclass(frozen=True)
class Expected:
    """The expected job, rules and receiver, as typed; see `dataops_core.diagnostics.monitoring.Wanted`."""

    job: str | None
    left_out: Sequence[str]
    receiver: str | None


@dataclass(frozen=True)
class Sending:
    """The test alert to send, and the word that confirms it."""

    severity: str
    labels: Sequence[str]
    confirmed: str | None


def _verify(
    invocation: Invocation, addresses: Addresses, expected: Expected, sending: Sending | None, *, as_json: bool
) -> int:
    """Run the checks, send the test alert if requested, and write the results."""
    from dataops_core.cli.printing import show
    from dataops_core.diagnostics.monitoring import JOB, Drill, Wanted, as_dict, verify
    from dataops_core.systems.prometheus.client import AlertmanagerClient, PrometheusClient

    if sending is None and expected.receiver is not None:
        raise ConfigError("only a test alert shows its receiver", hint="add --send-test-alert")
    wanted = Wanted(expected.job or JOB, tuple(expected.left_out), expected.receiver)
    chosen, source, alerts = _platform(invocation, addresses)
    timeout = chosen.settings.probe_timeout
    if source is None:
        raise ConfigError(f'the context "{chosen.name}" has no prometheus', hint="add --url, or add it to the settings")
    prometheus = PrometheusClient(source, timeout)
    alertmanager = None if alerts is None else AlertmanagerClient(alerts, timeout)
    if sending is None:
        result = verify(prometheus, alertmanager, wanted)
    elif alertmanager is None:
        raise ConfigError("a test alert needs an Alertmanager, but none is set", hint="add --alertmanager URL")
    else:
        policy, confirmed = chosen.policy, sending.confirmed
        alert = Drill.make(sending.severity, _labels(sending.labels), datetime.now(UTC))
        word = policy.confirmation()
        if word is not None and confirmed is None and can_ask():
            confirmed = ask_word(f"This sends an alert to {alertmanager.target}: somebody may be paged.", word)
        result = verify(
            prometheus,
            alertmanager,
            wanted,
            alert,
            lambda client, sent: policy.send_alert(client, sent.labels, sent.annotations, sent.ends_at, confirmed),
        )
    if as_json:
        document = as_dict(result, prometheus.target, None if alertmanager is None else alertmanager.target)
        write_json(document)
    else:
        show([_table(result), "", *_remedies(result)])
    return _exit_code(result)


def _platform(
    invocation: Invocation, addresses: Addresses
) -> tuple[Chosen, PrometheusSettings | None, AlertmanagerSettings | None]:
    """Return the context, and the settings of the Prometheus and the Alertmanager to query.

    A typed address gets the context's credentials only if it is the context's address. Another Prometheus is another
    platform, so the context's Alertmanager is not used with it.
    """
    from urllib.parse import urlsplit

    from dataops_core.config import find_config
    from dataops_core.config.check import no_such
    from dataops_core.systems.prometheus.settings import AlertsSettings
    from dataops_core.systems.registry import settings_of

    url = addresses.prometheus
    typed = _typed(addresses)  # raises ConfigError for an invalid address
    if (addresses.token_file or addresses.ca_file) and not typed:
        raise ConfigError(
            "--token-file and --ca-file apply to --url and --alertmanager only",
            hint="add --url or --alertmanager, or set token and tls.ca_file in the settings",
        )
    try:
        find_config(invocation.config)
    except ConfigError:
        if url is None:
            raise
        name = urlsplit(url).netloc.rpartition("@")[2] or url
        settings = settings_of({"contexts": {name: {}}}, Path(), url)
        chosen = Chosen(settings, name, settings.contexts[name])
    else:
        chosen = invocation.chosen()
    known = chosen.context.of(AlertsSettings)
    for component in addresses.components:
        if component not in known:
            raise ConfigError(no_such("Prometheus or Alertmanager component", component, known))
    source: PrometheusSettings | None = _endpoint(chosen, "prometheus", typed, addresses.components)
    if source is typed.get("prometheus") is not None and "alertmanager" not in typed:
        return chosen, source, None
    return chosen, source, _endpoint(chosen, "alertmanager", typed, addresses.components)


def _endpoint(chosen: Chosen, kind: str, typed: Mapping[str, Any], names: Sequence[str]) -> Any:  # noqa: ANN401 - by kind
    """Return the settings of the Prometheus or Alertmanager to query; `None` if there is none."""
    from dataops_core.systems.prometheus.settings import AlertsSettings

    known = {name: each for name, each in chosen.context.of(AlertsSettings).items() if each.component == kind}
    if kind in typed:
        return next((each for each in known.values() if _same(typed[kind], each)), typed[kind])
    named = [name for name in names if name in known]
    if len(named) > 1:
        raise ConfigError(f"--component names several of {kind}: {', '.join(named)}", hint="name one")
    return known[chosen.component(kind, kind.capitalize(), next(iter(named), None))] if known else None


def _typed(addresses: Addresses) -> dict[str, AlertsSettings]:
    from dataops_core.systems.registry import settings_of

    access: dict[str, Any] = {}
    if addresses.token_file is not None:
        access["token"] = {"file": str(addresses.token_file)}
    if addresses.ca_file is not None:
        access["tls"] = {"ca_file": str(addresses.ca_file)}
    urls = {"prometheus": addresses.prometheus, "alertmanager": addresses.alertmanager}
    tables = {key: {"url": url, **access} for key, url in urls.items() if url is not None}
    checked = settings_of({"contexts": {"typed": tables}}, Path(), "the given addresses").contexts["typed"]
    return {key: getattr(checked, key) for key in tables}


def _same(typed: AlertsSettings, known: AlertsSettings) -> bool:
    plain = typed.token is None and typed.tls is None
    return plain and typed.url.rstrip("/") == known.url.rstrip("/")


def _labels(typed: Sequence[str]) -> dict[str, str]:
    labels = {}
    for label in typed:
        name, equals, value = label.partition("=")
        if not (name and equals and value):
            raise ConfigError(f'"{label}" is not a label', hint="write NAME=VALUE: team=data-platform")
        labels[name] = value
    return labels


def _table(result: Report[Check]) -> Table:
    from dataops_core.cli.printing import safe, table
    from dataops_core.cli.steps import marked

    rows = table("CHECK", "RESULT", "WHY")
    for step in result.steps:
        words = step.status.value.replace("_", " ")
        rows.add_row(
            step.name.value.replace("_", " "),
            marked(step.status, f" {words}"),
            safe(step.detail),
        )
    return rows


def _remedies(result: Report[Check]) -> Iterator[str]:
    from dataops_core.cli.printing import safe
    from dataops_core.cli.steps import marked

    def named(step: Step[Check]) -> str:
        return step.name.value.replace("_", " ")

    for step in result.steps:
        if step.remedy:
            yield f"{marked(step.status)} [bold]{named(step)}[/] fix: {safe(step.remedy)}"


def _exit_code(result: Report[Check]) -> Exit:
    from dataops_core.diagnostics.base import Status

    if result.status is Status.FAILED:
        return Exit.FAILED
    return Exit.CONNECTION if result.status is Status.UNKNOWN else Exit.OK
