"""Draw the dashboards from a real Prometheus, for where there is no Grafana. `make dashboard-pictures` runs it.

The panels, their places, queries, units, words and colours are read from `grafana/*.json`. The drawing is plainer than
Grafana's, so a picture shows what a panel says, not how Grafana would draw it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import textwrap
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter, date2num
from matplotlib.figure import Figure

GRAFANA = Path(__file__).parent / "grafana"
UNIT_HEIGHT, WIDTH = 0.28, 18.0
"""Inches of one row of Grafana's grid, and of a picture."""
COLOURS = {
    "green": "#56a64b",
    "yellow": "#f2cc0c",
    "semi-dark-yellow": "#e0b400",
    "orange": "#ff780a",
    "red": "#e02f44",
    "dark-red": "#8f1d2c",
    "blue": "#3274d9",
    "text": "#24292e",
}
"""Grafana's names of colours."""
Series = tuple[Mapping[str, str], list[tuple[float, float]]]


@dataclass(frozen=True)
class Source:
    """Prometheus, and the time that is shown.

    Attributes:
        url: Its address.
        minutes: How far back.
        names: Values of the dashboards' variables, as regular expressions.
    """

    url: str
    minutes: int
    names: Mapping[str, str]

    @property
    def step(self) -> int:
        """Seconds between two points."""
        return max(5, self.minutes * 60 // 240)

    def _put_in(self, expression: str) -> str:
        expression = expression.replace("$__rate_interval", f"{max(60, 4 * self.step)}s")
        expression = expression.replace("$__range", f"{self.minutes}m")
        return re.sub(r"\$(\w+)", lambda found: self.names.get(found[1], ".+"), expression)

    def over_time(self, expression: str) -> list[Series]:
        """Return each series with its points."""
        end = time.time() // self.step * self.step  # so that the points of all queries lie upon each other
        found = self._ask("query_range", expression, start=end - self.minutes * 60, end=end, step=self.step)
        return [(row["metric"], [(at, float(value)) for at, value in row["values"]]) for row in found]

    def now(self, expression: str) -> list[tuple[Mapping[str, str], float]]:
        """Return each series with its newest value."""
        return [(row["metric"], float(row["value"][1])) for row in self._ask("query", expression)]

    def _ask(self, kind: str, expression: str, **more: float) -> list[dict[str, Any]]:
        asked = urllib.parse.urlencode({"query": self._put_in(expression), **more})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url}/api/v1/{kind}?{asked}", timeout=30) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found


def draw(path: Path, source: Source) -> Figure:
    """Return the picture of a dashboard."""
    board = json.loads(path.read_text())
    panels = list(laid_out(board["panels"]))
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    height = rows * UNIT_HEIGHT + 0.6
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    figure.text(0.008, 1 - 0.35 / height, board["title"], size=15, weight="bold", va="center")
    figure.text(
        0.992, 1 - 0.35 / height, f"drawn from Prometheus at {datetime.now(UTC):%Y-%m-%d %H:%M} UTC", ha="right"
    )
    for panel in panels:
        place = panel["gridPos"]
        top = 1 - (0.6 + place["y"] * UNIT_HEIGHT) / height
        tall = place["h"] * UNIT_HEIGHT / height
        left, wide = place["x"] / 24, place["w"] / 24
        axes = figure.add_axes((left + 0.033, top - tall + 0.42 / height, wide - 0.042, tall - 0.85 / height))
        axes.set_title(panel["title"].replace("$pipeline", "all"), loc="left", size=10, weight="bold")
        axes.tick_params(labelsize=7)
        DRAW[panel["type"]](axes, panel, source)
    return figure


def laid_out(panels: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the panels where Grafana shows them: each moves up until it meets another one."""
    ground = [0] * 24
    for panel in panels:
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        y = max(ground[column] for column in columns)
        for column in columns:
            ground[column] = y + place["h"]
        yield {**panel, "gridPos": {**place, "y": y}}


def graph(axes: Axes, panel: dict[str, Any], source: Source) -> None:
    """Draw lines, or bands one upon the other."""
    drawn = [
        (legend(target, labels), points)
        for target in panel["targets"]
        for labels, points in source.over_time(target["expr"])
    ]
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    unit = panel["fieldConfig"]["defaults"].get("unit", "none")
    if not drawn:
        nothing(axes)
        return
    if custom.get("stacking", {}).get("mode") == "normal":
        times = sorted({at for _, points in drawn for at, _ in points})
        levels = [[dict(points).get(at, 0.0) for at in times] for _, points in drawn]
        axes.stackplot([when(at) for at in times], levels, labels=[name for name, _ in drawn], alpha=0.7)
    else:
        for name, points in drawn:
            axes.plot([when(at) for at, _ in points], [value for _, value in points], label=name, linewidth=1.2)
    columns = 2 if len(drawn) < 7 else 3
    axes.margins(x=0.01, y=0.125 * -(-len(drawn) // columns))  # the legend's place
    top = axes.get_ylim()[1] if any(value > 0 for _, points in drawn for _, value in points) else 1.0
    axes.set_ylim(-0.02 * top, top)  # a line at zero is seen
    axes.yaxis.set_major_formatter(lambda value, _: shown(value, unit))
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M"))  # type: ignore[no-untyped-call]
    axes.grid(visible=True, alpha=0.3)
    axes.legend(loc="upper left", fontsize=6.5, ncols=columns, framealpha=0.8)


def states(axes: Axes, panel: dict[str, Any], source: Source) -> None:
    """Draw a band for each series, with the colour and the word of its state."""
    words = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    (target,) = panel["targets"]
    found = source.over_time(target["expr"])
    if not found:
        nothing(axes)
        return
    readable = max(points[-1][0] - points[0][0] for _, points in found) / 25
    for row, (_, points) in enumerate(found):
        for first, last, value in runs(points, source.step):
            named = words[f"{value:.0f}"]
            start, end = when(first), when(last + source.step)
            axes.barh(row, end - start, left=start, height=0.8, color=colour(named["color"]))
            if last - first > readable:
                axes.text((start + end) / 2, row, named["text"], ha="center", va="center", size=7, color="white")
    for row, (labels, _) in enumerate(found):
        white = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
        name, place = legend(target, labels), axes.get_yaxis_transform()
        axes.text(0.002, row, name, va="center", size=7, transform=place, bbox=white, zorder=3)
    axes.set_yticks([])
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M"))  # type: ignore[no-untyped-call]
    axes.invert_yaxis()


def runs(points: Sequence[tuple[float, float]], step: float) -> Iterator[tuple[float, float, float]]:
    """Yield the stretches in which the value stays, with their first and last time."""
    first = last = value = None
    for at, now in points:
        if first is None or last is None or value != now or at - last > 1.5 * step:
            if first is not None and last is not None and value is not None:
                yield first, last, value
            first, value = at, now
        last = at
    if first is not None and last is not None and value is not None:
        yield first, last, value


def figures(axes: Axes, panel: dict[str, Any], source: Source) -> None:
    """Draw one figure for each series."""
    defaults = panel["fieldConfig"]["defaults"]
    (target,) = panel["targets"]
    found = [(legend(target, labels), points[-1][1]) for labels, points in source.over_time(target["expr"])]
    axes.axis("off")
    words = defaults["mappings"][0]["options"] if defaults.get("mappings") else {}
    for place, (name, value) in enumerate(found or [("", None)]):
        centre = (place + 0.5) / max(1, len(found))
        if value is None:
            text, paint = defaults.get("noValue", "unknown"), COLOURS["orange"]
        elif words:
            named = words[f"{value:.0f}"]
            text, paint = named["text"], colour(named["color"])
        else:
            steps = [step for step in defaults["thresholds"]["steps"] if (step.get("value") or float("-inf")) <= value]
            text, paint = shown(value, defaults.get("unit", "none")), colour(steps[-1]["color"])
        axes.text(centre, 0.62, text, ha="center", va="center", size=17, weight="bold", color=paint)
        axes.text(centre, 0.2, name, ha="center", va="center", size=8)


def rows(axes: Axes, panel: dict[str, Any], source: Source) -> None:
    """Draw a table."""
    options = panel["transformations"][0]["options"]
    order: dict[str, int] = options["indexByName"]
    columns = {name: options["renameByName"][name] for name in sorted(order, key=order.__getitem__)}
    unit = panel["fieldConfig"]["defaults"].get("unit", "none")
    found = source.now(panel["targets"][0]["expr"])
    axes.axis("off")
    if not found:
        nothing(axes, panel["fieldConfig"]["defaults"].get("noValue", "none"))
        return
    cells = [
        [shown(value, unit) if name == "Value" else labels.get(name, "") for name in columns]
        for labels, value in found[:10]
    ]
    texts = [list(columns.values()), *cells]
    widths = [max(len(row[column]) for row in texts) + 2 for column in range(len(columns))]
    share = max(sum(widths), 100)
    drawn = axes.table(
        cells,
        colLabels=texts[0],
        colWidths=[width / share for width in widths],
        loc="upper left",
        cellLoc="left",
        colLoc="left",
        edges="horizontal",
    )
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(8)


def note(axes: Axes, panel: dict[str, Any], _source: Source) -> None:
    """Write a text."""
    axes.axis("off")
    lines = [part for line in panel["options"]["content"].splitlines() for part in textwrap.wrap(line, 100) or [""]]
    axes.text(0, 0.98, "\n".join(lines), va="top", size=8, parse_math=False)


DRAW = {"timeseries": graph, "state-timeline": states, "stat": figures, "table": rows, "text": note}


def nothing(axes: Axes, word: str = "no data") -> None:
    """Say that there is nothing."""
    axes.axis("off")
    axes.text(0.5, 0.5, word, ha="center", va="center", size=11, color="#8e8e8e", transform=axes.transAxes)


def legend(target: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """Return a series' name; with a space before a `_`, which matplotlib takes for a name to hide."""
    name = re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), target.get("legendFormat", ""))
    return f" {name}" if name.startswith("_") else name


def colour(name: str) -> str:
    """Return a colour as matplotlib takes it."""
    return COLOURS.get(name, name)


def when(at: float) -> float:
    """Return an instant as matplotlib counts it."""
    return float(date2num(datetime.fromtimestamp(at, UTC)))


def shown(value: float, unit: str) -> str:
    """Return a number as people read it."""
    if unit == "s":
        for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
            if abs(value) >= size:
                return f"{value / size:.3g} {name}"
        return f"{value:.3g} s"
    if unit == "percentunit":
        return f"{value:.1%}"
    if unit == "dateTimeAsIso":
        return f"{datetime.fromtimestamp(value / 1000, UTC):%Y-%m-%d %H:%M}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def main() -> int:
    """Draw all dashboards; exit code 1 if Prometheus does not answer."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--url", default="http://127.0.0.1:19090", help="Prometheus (default: %(default)s)")
    options.add_argument("--minutes", type=int, default=30, help="how far back (default: %(default)s)")
    options.add_argument(
        "--to", type=Path, default=Path("docs/images/dashboards"), help="folder (default: %(default)s)"
    )
    arguments = options.parse_args()
    mpl.rcParams.update({"font.family": "DejaVu Sans", "svg.hashsalt": "dataops", "axes.spines.top": False})
    arguments.to.mkdir(parents=True, exist_ok=True)
    source = Source(arguments.url, arguments.minutes, {})
    for path in sorted(GRAFANA.glob("*.json")):
        try:
            figure = draw(path, source)
        except (urllib.error.URLError, TimeoutError) as error:
            print(f"{arguments.url} does not answer: {error}: start the local stack, or name another one with --url")
            return 1
        figure.savefig(arguments.to / f"{path.stem}.png", dpi=80)
        print(f"{arguments.to / path.stem}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
