"""The slides of the deck; `SECTIONS` at the end has their order. `figures.toml` has the numbers."""

# Each sentence of a slide and each row of a table is on one line.
# fmt: off

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from layout import INNER, MARGIN, WIDTH, Slide, page_number
from pptx.enum.shapes import MSO_SHAPE
from pptx.shapes.autoshape import Shape

IMAGES = Path(__file__).parents[2] / "images"
CONSOLE = Path(__file__).parent / "console.png"
TOP = 1.95
"""Where the content of a slide begins, below its title and lead."""


def furnish(slide: Slide, at: int, section: str, number: int, total: int, documents: Sequence[str]) -> None:
    """Add the common parts of a slide: section, progress of the talk, number, and the quoted documents."""
    slide.text(MARGIN, 0.36, 6, 0.26, section.upper(), size=12, colour="blue", bold=True, name="caption")
    left, step = WIDTH - MARGIN - 0.26 * (len(SECTIONS) - 1) - 0.07, 0.26
    slide.line(left, 0.49, left + step * (len(SECTIONS) - 1), 0.49)
    for there in range(len(SECTIONS)):
        colour = "blue" if there == at else "muted" if there < at else "line"
        slide.dot(left + step * there, 0.49, 0.17 if there == at else 0.11, colour)
    if documents:
        slide.text(
            MARGIN, 7.05, 10.6, 0.24, "Quoted from " + ", ".join(each.removeprefix("docs/") for each in documents), size=11, colour="muted", name="caption"
        )
    page = slide.text(WIDTH - MARGIN - 1.2, 7.05, 1.2, 0.24, "", align="right", name="caption")
    page_number(page, number, total)


def _lead(slide: Slide, text: str) -> None:
    slide.text(MARGIN, 1.32, INNER, 0.34, text, size=16, colour="muted", name="lead")


def _chain(slide: Slide, y: float, stages: Sequence[tuple[str, str, str, str]], width: float = 1.75) -> None:
    """Draw a pipeline as the console shows it: name, state in words, colour, kind."""
    pitch = (INNER - width) / (len(stages) - 1)
    boxes = []
    for at, (name, state, colour, kind) in enumerate(stages):
        text = [f"`{name}`", kind, state]
        boxes.append(
            slide.box(MARGIN + at * pitch, y, width, 1.12, text, edge=colour, size=14, inset=0.1, align="center",
                      anchor="middle", gap=3, name="stage")
        )
    slide.connect(boxes)


##### Introduction


def opening(slide: Slide) -> None:
    """The question."""
    slide.title("Where is the data stuck,\nand since when?", place=(MARGIN, 1.25, 11, 1.75), size=50)
    slide.text(MARGIN, 3.2, 11, 0.8, ["**DataOps TUI**: one console for Kafka, Spark, Iceberg, Airflow and Trino.",
               "What it shows, how it works, and what it cannot do yet."], size=20, colour="muted")
    _chain(slide, 4.95, (
        ("topic", "● caught up", "green", "Kafka"),
        ("land", "■ stuck", "red", "Spark"),
        ("bronze", "↳ affected", "line", "Iceberg"),
        ("conform", "↳ affected", "line", "Airflow"),
        ("silver", "↳ affected", "line", "Iceberg"),
        ("view", "↳ affected", "line", "Trino"),
    ), width=1.6)
    slide.text(MARGIN, 6.3, INNER, 0.32, "One cause in red. The stages that it affects are shown, but not blamed.", size=16)
    slide.notes(0.5, """
        Good morning. We start with one question: where is the data stuck, and since when? We show a console that answers
        it, the pipeline that it monitors, and the reasons for the design of both.

        The talk takes twenty-five minutes, with a live demo at the end. Please keep hard questions for the Q and A.
    """)


def one_question(slide: Slide) -> None:
    """What the product is."""
    slide.title("One snapshot of every system, four ways to read it")
    _lead(slide, "It reads what the systems already store. Nothing is installed in them; jobs may stamp commits.")
    systems = [
        ("Kafka", "watermarks, groups"),
        ("Spark", "checkpoints"),
        ("Iceberg", "commits, manifests"),
        ("Airflow", "runs, tasks"),
        ("Trino", "what it serves"),
    ]
    readers = [
        ("Console", "`dataops-tui`: see, decide, act", "blue"),
        ("Command line", "`dataops`: exit codes, JSON", "blue"),
        ("Exporter", "Prometheus metrics, alerts", "blue"),
        ("Recorder", "rewind, replay, report", "blue"),
    ]
    centre = slide.box(4.75, 2.75, 3.85, 2.55, ["**Health snapshot**", "progress time of each stage",
                       "lag and state", "**one verdict**: cause, evidence, remedy"], fill="panel", edge="blue", size=16,
                       align="center", anchor="middle", gap=8)
    for at, (name, what) in enumerate(systems):
        box = slide.box(MARGIN, TOP + at * 0.86, 3.0, 0.7, [f"**{name}**", what], anchor="middle", gap=0)
        slide.arrow(box, centre, colour="line")
    for at, (name, what, colour) in enumerate(readers):
        y = TOP + 0.05 + at * 1.08
        box = slide.box(9.5, y, 3.23, 0.86, [f"**{name}**", what], anchor="middle", gap=0, edge=colour, inset=0.12)
        slide.arrow(centre, box, colour="blue")
    for at, text in enumerate(
        ("**Metadata**, no table scans", "**Unknown** is never shown as green", "**One cause**, one alert")
    ):
        slide.text(MARGIN + at * 4.2, 6.42, 4.0, 0.32, f"● {text}", size=16)
    slide.relies_on("metadata_only", "stale_value")
    slide.notes(1, """
        On the left is what every team has: five systems, each with its own screen. The product reads only metadata from
        each of them: watermarks, checkpoints, manifests, runs.

        In the middle all of it becomes one immutable picture, the health snapshot. One pure function computes lag, state
        and a single verdict with its evidence. On the right are the four readers. They cannot disagree, because none of
        them computes anything.

        Our most important rule: if the product cannot determine a state, the state is unknown, and never green.
    """)


##### Storyline and scenario


def boxes(slide: Slide) -> None:
    """The business of the scenario."""
    slide.title("Boreal Bridge flies vaccines in boxes without power")
    _lead(slide, "A fictional non-profit, on real flights, real delays and the real weather of New York in {year}.")
    steps = [
        ("Depot", "JFK, LaGuardia, Newark: packed with coolant, and a logger in each box", "line"),
        ("Apron", "Concrete at {apron}. A delay of hours uses up the coolant", "red"),
        ("Flight", "A scheduled passenger flight; readings come late and in bursts", "line"),
        ("Delivery", "The logger's whole memory is uploaded to the object store", "line"),
    ]
    slide.connect([
        slide.box(MARGIN + at * 3.11, TOP, 2.8, 1.42, [f"**{name}**", text], edge=edge, size=15, gap=4)
        for at, (name, text, edge) in enumerate(steps)
    ])
    slide.text(MARGIN, 3.5, 3.6, 0.3, "Temperature in a box: a drawing", size=14, colour="muted")
    slide.box(MARGIN, 4.2, INNER, 0.38, "its range", fill="green-tint", size=14, colour="green", align="right", anchor="middle",
              shape=MSO_SHAPE.RECTANGLE, name="band")
    warm = [(x / 10, 4.4 - 0.72 * math.exp(-(((x / 10 - 6.7) / (1.1 if x < 67 else 1.7)) ** 2))) for x in range(6, 118)]
    out = [at for at, (_, y) in enumerate(warm) if y < 4.2]
    for first, last, colour in ((0, out[0], "green"), (out[0], out[-1], "red"), (out[-1], len(warm) - 1, "green")):
        slide.curve(warm[first : last + 1], colour)
    slide.text(7.6, 3.5, 5.1, 0.3, "<red>one long delay: the dose is spoiled, and nobody noticed</>", size=14)
    numbers = [
        ("{boxes_a_day}", "boxes a day, to a hundred towns"),
        ("{reading_minutes} min", "between two readings of a logger"),
        ("{range}", "range of a product, for example"),
        ("{departures}", "real departures to replay"),
    ]
    for at, (value, label) in enumerate(numbers):
        _figure(slide, MARGIN + at * 3.11, 4.75, 2.9, value, label)
    slide.box(MARGIN, 5.95, INNER, 0.85, ["**Two objectives**: intervene while a box can still be saved, and prove its state later.",
              "{tolerated} minutes outside of the range may be harmless; {ruined_after} may spoil {doses} doses."],
              fill="panel", size=16, anchor="middle", gap=3)
    slide.notes(1, """
        Boreal Bridge is invented, but its flights, delays and weather are real: they are the departures of New York's three
        airports in {year}, and the weather of every hour. Only boxes and loggers are simulated, and the simulator records
        the correct results, so that our tests can compare.

        A box has no power. The risk is not the flight but the apron: {apron} on concrete, and a thunderstorm turns one hour
        into three. Readings arrive late, in bursts, twice, sometimes malformed, sometimes with a wrong clock.

        Two objectives follow: intervene while a box can be saved, and prove later what was known.
    """)


def _figure(slide: Slide, x: float, y: float, w: float, value: str, label: str, colour: str = "bright") -> None:
    slide.text(x, y, w, 0.6, value, size=32, colour=colour, bold=True, name="figure")
    slide.text(x, y + 0.66, w, 0.6, label, size=14, colour="muted")


def _timeline(slide: Slide, events: Sequence[tuple[str, str, str]], size: float = 14, y: float = 2.2) -> None:
    pitch = INNER / len(events)
    slide.line(MARGIN, y, WIDTH - MARGIN, y, width=2)
    for at, (when, what, colour) in enumerate(events):
        x = MARGIN + at * pitch
        slide.dot(x + 0.12, y, 0.24, colour, edge="background")
        slide.text(x, y + 0.24, pitch - 0.2, 0.36, when, size=18, colour=colour, bold=True)
        slide.text(x, y + 0.68, pitch - 0.25, 2.0, what, size=size)


def night_before(slide: Slide) -> None:
    """The night without the console."""
    slide.title("A night in July, before: every tool is green")
    _lead(slide, "Storms over New York. The data stops, and for hours nobody notices.")
    _timeline(slide, (
        ("{t_storm}", "Departures from JFK are delayed, first by {first_delay}, then indefinitely.", "muted"),
        ("{t_stop}", "`land_readings` fails with the store. Its supervisor gives up. Airflow's DAG runs every {dag_every} and succeeds.", "red"),
        ("{t_dispatcher}", "A dispatcher sees fine temperatures. They are {page_age} old; the page does not say so.", "amber"),
        ("{t_page}", "The engineer is paged for another team's topic. Spark commits no offsets.", "amber"),
        ("{t_cause}", "The engineer finds the cause by hand, in five tools that measure time in five ways.", "amber"),
        ("Morning", "A doubtful box counts as failed.", "red"),
    ))
    slide.box(MARGIN, 5.05, INNER, 1.6, fill="surface", name="panel")
    for x, value, label, colour in (
        (0.9, "{out_of_range}", "boxes were out of range for longer than their product allows", "red"),
        (4.9, "{in_doubt}", "more, and nobody can prove that they stayed in range", "amber"),
        (8.9, "{quarantined}", "boxes quarantined, and most of them destroyed", "red"),
    ):
        _figure(slide, x, 5.24, 3.5, value, label, colour)
    slide.notes(1, """
        A night in July. At {t_storm} storms close the departure routes. At {t_stop} the store behind the catalog runs out of
        memory, the Spark query fails with it, and its supervisor gives up. No tool reports it. Kafka accepts readings. The
        DAG succeeds, because there is nothing new to conform. Trino answers every query, with rows of {t_stop}.

        At {t_dispatcher} a dispatcher sees temperatures that are {page_age} old, and the page does not say so. At {t_cause}
        the engineer on call finds the cause by hand.

        In the morning {quarantined} boxes are in quarantine, {in_doubt} of them only because nobody could prove anything.
    """)


def night_after(slide: Slide) -> None:
    """The same night with it."""
    slide.title("The same night, after: the cause within thirty seconds")
    _lead(slide, "The same storm and the same crash, with the console on the screen.")
    _timeline(slide, (
        ("{t_verdict}", "`land_readings` has been stuck since {t_since}; its lag grows. Downstream stages are affected. One alert.", "red"),
        ("{t_remedy}", "The remedy is one key away. The query restarts by itself, and the screen shows an ETA.", "amber"),
        ("{t_saved}", "An excursion is reported within seconds of its reading. Two pallets are moved into the shade: saved.", "green"),
        ("Morning", "Dumps fill what gateways lost. Time without a measurement is unknown, never in range.", "green"),
    ), size=16)
    rows = [
        ["", "before", "after"],
        ["the cause has a name", "{t_cause}", "{t_verdict}"],
        ["lost to delay or doubt", "{quarantined} boxes", "{rejected} boxes, rejected with their minutes"],
        ["what was known at release of lot {lot}", "nobody can say", "one query by tag"],
    ]
    slide.table(MARGIN, 4.75, (4.7, 2.7, 4.73), rows, size=16, row_height=0.5)
    slide.notes(1, """
        The same evening. At {t_verdict} the home screen says that land readings has been stuck since {t_since}. Everything
        downstream is affected, and one alert goes out for one cause.

        At {t_remedy} the remedy is one key away. Nothing is lost or duplicated. At {t_saved} an excursion is reported within
        seconds of its reading, and two pallets are moved into the shade.

        In the morning {rejected} boxes are rejected with their minutes, and the rest are released with proof. These numbers
        belong to the story; the measurements come later.
    """)


##### Problem statement


def all_green(slide: Slide) -> None:
    """Why the existing tools do not show it."""
    slide.title("Five systems are green, and none shows the age of the data")
    _lead(slide, "What each tool showed at {t_dispatcher}, and what it could not show.")
    rows = [
        ["system", "what its screen shows", "what it does not show"],
        ["**Kafka**", "● brokers up, the topic grows", "that nobody lands it: Spark commits no offsets, so there is no lag"],
        ["**Spark**", "○ nothing: its screen ended with the job", "that its checkpoint has a planned batch without a commit"],
        ["**Iceberg**", "● the table can be read", "that its newest commit was at {t_stop}"],
        ["**Airflow**", "● every run succeeds", "that each of them had nothing to do"],
        ["**Trino**", "● every query answers", "that its rows are of {t_stop} as well"],
    ]
    slide.table(MARGIN, TOP, (1.6, 4.2, 6.33), rows, size=16, row_height=0.6, header_height=0.5)
    slide.box(MARGIN, 5.75, INNER, 0.95, "**The problem: no tool follows the data from topic to table to query.** Each is right about itself, and together they are wrong about the data.", fill="panel", edge="red", size=18,
              anchor="middle")
    slide.notes(1, """
        This table shows the problem. Every tool is correct: Kafka is up, the DAG succeeds, Trino answers. Each is right about
        itself, and together they are wrong about the data.

        The largest gap is Spark: it keeps its position in a checkpoint and commits nothing to Kafka, so the lag that
        everybody alerts on does not exist.

        We need one measure that all of them share: up to which time has a stage processed the data?
    """)


def objectives(slide: Slide) -> None:
    """The objectives of a solution."""
    slide.title("Five objectives that a solution must meet")
    _lead(slide, "The objectives of the scenario, and how each is measured.")
    tiles = [
        ("{objective_excursion}", "from the arrival of a reading to the report of its excursion", "end-to-end test"),
        ("{objective_age}", "maximum age of the data that the quality officer reads", "metric, burn rates"),
        ("{objective_named}", "until a stuck stage is named", "end-to-end test"),
        ("{objective_exact}", "readings lost or counted twice", "end-to-end test"),
        ("{objective_pages}", "for one cause, however many stages it affects", "end-to-end test"),
    ]
    for at, (value, label, where) in enumerate(tiles):
        x = MARGIN + at * 2.46
        number, unit = slide.filled(value).split(maxsplit=1)
        slide.box(x, TOP, 2.29, 3.35, fill="surface", name="panel")
        slide.bar(x, TOP, 2.29, 0.07, "green")
        slide.text(x + 0.18, TOP + 0.22, 2.0, 0.82, number, size=48, colour="bright", bold=True, name="figure")
        slide.text(x + 0.18, TOP + 1.06, 2.0, 0.36, {"s": "seconds"}.get(unit, unit), size=18, colour="green", bold=True)
        slide.text(x + 0.18, TOP + 1.5, 1.98, 1.2, label, size=16)
        slide.text(x + 0.18, TOP + 2.88, 1.98, 0.3, where, size=14, colour="muted")
    slide.box(MARGIN, 5.6, INNER, 1.1, ["**In time**, so that a box can still be saved; **exact**, so that a lot can be released;",
              "**quiet**, so that people trust the one page at night."], fill="panel", size=18, anchor="middle", gap=4)
    slide.notes(0.5, """
        Five objectives, each with a number: an excursion is reported within {objective_excursion}, data is younger than
        {objective_age}, a stuck stage is named within {objective_named}, nothing is lost or duplicated in a million readings,
        and one cause sends one page. End-to-end tests on the real components measure four of them; the age is a metric with
        an error budget.
    """)


##### Solutions overview


def criteria(slide: Slide) -> None:
    """The criteria for the options."""
    slide.title("Six criteria, the same for every option")
    _lead(slide, "From the two objectives and from who operates it. Rated for this scenario; the options were not benchmarked.")
    cards = [
        ("In time", "An excursion is reported in seconds, and the state of a logger survives between its readings."),
        ("Exact", "Nothing is lost or counted twice, whichever component fails."),
        ("Repairable", "Backfill, replay after a fix, and a late certificate correct the tables, with the same code."),
        ("Provable", "Two months later a query can read what was known at release, by a name that maintenance keeps."),
        ("Open", "Spark, Trino and Python read one copy. No engine owns the data."),
        ("One team", "A small team can operate it at night: few engines, known failures, few special cases."),
    ]
    for at, (name, text) in enumerate(cards):
        slide.card(MARGIN + at % 3 * 4.11, TOP + at // 3 * 2.43, 3.9, 2.25, name, text, size=18, heading_size=20)
    slide.notes(0.5, """
        Before the options, the criteria. In time and exact come from the objective to intervene, repairable and provable
        from the objective to prove, open and one team from the people who operate it. We rate every option by the same six.
        The ratings are for this scenario: we did not benchmark the options against each other.
    """)


_CRITERIA = ("in time", "exact", "repairable", "provable", "open", "one team")
_WIDTHS = (2.15, 0.92, 0.82, 1.12, 1.07, 0.78, 1.07, 4.2)


def _options(slide: Slide, rows: Sequence[tuple[str, str, str]]) -> None:
    """Rate options by the criteria: name, a letter for each (y, p, n), what decided."""
    words = {"y": "yes", "p": "part", "n": "no"}
    rated = [(name, *(words[letter] for letter in letters), why) for name, letters, why in rows]
    slide.table(MARGIN, TOP, _WIDTHS, [("option", *_CRITERIA, "deciding criterion"), *rated], size=13, row_height=0.76,
                centred=range(1, 7), marked=[len(rows)])
    slide.text(MARGIN, 6.4, INNER, 0.3, "<green>yes</> meets it · <amber>part</> in part, or with a second engine · <red>no</> does not", size=14, colour="muted")


def engines(slide: Slide) -> None:
    """Options for processing."""
    slide.title("Engines: state, tables and backfill in one of them")
    _lead(slide, "How readings get from the topic into tables and alerts.")
    _options(slide, [
        ("**Batch only**", "nyyyyy", "**In time.** Simple and exact, but a box is lost before the next run reads its readings"),
        ("**Flink**", "yypyyp", "**One team.** Better state and lower latency than we need; MERGE into tables would need a second engine"),
        ("**Kafka Streams**", "ypnnpp", "**Repairable.** It writes to Kafka; tables, MERGE and backfill need a second engine"),
        ("**Kafka Connect sink**", "nynyyy", "**Repairable.** Lands well, but keeps no state, quarantines without reasons, and shares no parser with replay"),
        ("**Spark** Structured Streaming", "yyyyyp", "**Chosen.** Stream, backfill and MERGE share one code base and engine; the cost is a JVM and a trigger of seconds"),
    ])
    slide.relies_on("flink", "kafka_streams", "connect")
    slide.notes(1.5, """
        We considered batch only first, since it meets five of six. It fails the one that saves boxes: by the next
        run the dose is spoiled.

        Flink is the strongest alternative: better state, lower latency. A few seconds are enough here, and one engine for
        stream, backfill and MERGE matters more to a small team. With an objective of milliseconds we would choose Flink.

        Kafka Streams writes to Kafka; the tables would need a second engine. A Connect sink is right for landing alone, but
        we need state, quarantine with reasons, and a parser that replay shares.

        So we chose Spark, not for volume but for state, backfill and fault tolerance.
    """)


def stores(slide: Slide) -> None:
    """Options for storage."""
    slide.title("Storage: proof by tag, on one open copy")
    _lead(slide, "Where readings and verdicts are stored, and who can read them.")
    _options(slide, [
        ("**Delta Lake**", "yyyppy", "**Provable.** Time travel, but no tags and branches for a lot's release; its best tools are one vendor's"),
        ("**Hudi**", "yyyppp", "**Provable.** Strongest in upserts by key from streams; the release of lots weighs more here"),
        ("**A warehouse**", "pyppny", "**Open.** Little to operate, but one engine owns the only copy, and Spark's state is outside of it"),
        ("**HDFS** for the files", "yyyypn", "**One team.** Fails with its NameNode, grows with compute; fast on your own machines. Not tried here"),
        ("**Iceberg on S3**", "yyyyyp", "**Chosen.** Tags, branches and hidden partitions, three engines on one catalog; the cost is maintenance of small files"),
    ])
    slide.relies_on("formats", "hdfs", "hdfs_falls")
    slide.notes(1.5, """
        The formats are similar, and each could store the data. The release of a lot decided: we write to a branch, audit
        it, publish it, and tag it, and a tag survives maintenance. Both are part of Iceberg's specification, and Spark, Trino
        and Python share one open catalog.

        A warehouse would be the least work to operate. But it owns the only copy, and the stream's state is outside of it.

        S3 or HDFS: with S3, storage grows without compute, and any HTTP client can read it. Consistency, listing and renaming
        are no longer arguments for HDFS: S3 is consistent, Iceberg does not list, and a commit is a swap in the catalog. HDFS
        has better throughput on your own machines, and append. We have not tried it.
    """)


##### Chosen data pipeline architecture


def pipeline(slide: Slide) -> None:
    """The pipeline."""
    slide.title("The pipeline: one topic, two speeds, one query engine")
    _lead(slide, "Seconds for the dispatcher who can still act, minutes for the officer who has to prove.")

    def node(x: float, y: float, name: str, kind: str, edge: str, w: float = 1.62) -> Shape:
        return slide.box(x, y, w, 0.8, [f"`{name}`", kind], edge=edge, align="center", anchor="middle", gap=1, inset=0.04,
                         name="stage")

    proof, files, rescue = 2.5, 3.62, 4.84
    slide.box(2.3, TOP - 0.02, 2.0, 3.83, "Spark, streaming", colour="amber", align="center", name="lane")
    slide.box(6.2, TOP - 0.02, 4.68, 2.65, "Airflow starts Spark", colour="amber", align="center", name="lane")
    topic = node(MARGIN, 3.62, "readings", "Kafka topic", "blue", 1.45)
    land = node(2.45, proof, "land", "exactly once", "amber", 1.7)
    detect = node(2.45, rescue, "detect", "state per logger", "amber", 1.7)
    bronze = node(4.55, proof, "bronze", "as it came", "green", 1.45)
    raw = node(4.55, files, "raw files", "S3, dumps", "blue", 1.45)
    conform = node(6.35, proof, "conform", "every {conform_every}", "amber", 1.6)
    reconcile = node(6.35, files, "reconcile", "fills gaps", "amber", 1.6)
    silver = node(8.2, proof, "silver", "once each", "green", 1.15)
    assess = node(9.6, proof, "assess", "audits", "amber", 1.15)
    gold = node(11.18, proof, "gold", "verdicts", "green", 1.55)
    trino = node(11.18, files, "Trino", "SQL, tags", "blue", 1.55)
    excursions = node(4.55, rescue, "excursions", "table", "green", 1.45)
    alert = node(6.35, rescue, "excursions", "Kafka topic", "blue", 1.6)
    dispatcher = _reader(slide, 8.2, rescue, 1.7, "Dispatcher", "in seconds")
    officer = _reader(slide, 11.18, rescue, 1.55, "Quality officer", "in minutes")
    for lane in ((land, bronze, conform, silver, assess, gold), (raw, reconcile), (detect, excursions, alert, dispatcher)):
        slide.connect(lane)
    slide.arrow(topic, land, elbow=True)
    slide.arrow(topic, detect, elbow=True)
    slide.arrow(reconcile, silver, sides=("right", "bottom"), elbow=True)
    slide.connect((gold, trino, officer), sides=("bottom", "top"))
    slide.box(MARGIN, 5.95, INNER, 0.8, "**DataOps TUI reads from all of these**: offsets, checkpoints, commits, runs, Trino's views. One progress time for all, by the broker's clock.", fill="panel", edge="blue", dashed=True, size=16,
              anchor="middle")
    slide.notes(1.5, """
        From the left: gateways send readings to one Kafka topic. Two Spark streams read it.

        The upper path is for proof. Land readings stores every raw record exactly once, and malformed records with a reason.
        Every {conform_every} conform merges them: one row for each reading, with corrected clocks and calibration. Assess
        evaluates each shipment on a branch, audits the result, and only then publishes it.

        The lower path is for rescue. Detect keeps the state of each logger, and reports an excursion within seconds, to a
        table and a topic.

        The raw files are dumps of loggers, flights and weather. They are in S3, and Airflow loads them; every
        {reconcile_every} a DAG compares the dumps with the stream. The frame below is the product: it monitors every stage,
        by one clock.
    """)


def _reader(slide: Slide, x: float, y: float, w: float, who: str, when: str) -> Shape:
    return slide.box(x, y, w, 0.8, [f"**{who}**", when], fill="panel", align="center", anchor="middle", gap=1, inset=0.05)


def reasons(slide: Slide) -> None:
    """Why each technology is there."""
    slide.title("Each technology has one reason to be here")
    _lead(slide, "What breaks in this scenario without it.")
    cards = [
        ("Kafka", "Bursts of gateways that were offline; several readers; replay from any offset.", "blue"),
        ("Spark", "State of each logger that survives a crash; backfill of a year with the code of the stream.", "amber"),
        ("Airflow", "Ordered work: conform, reconcile, assess, maintain; forms for manual runs.",
         "amber"),
        ("Iceberg", "Commits with offsets, so exactly once; branches to audit; tags to prove.", "green"),
        ("S3", "Raw files of four makers, from anywhere by HTTP; grows without compute.", "green"),
        ("Trino", "SQL for people over the same tables, without a copy; maintenance without starting Spark.", "blue"),
        ("Python", "One language for jobs, DAGs, console and exporter; one team reads it all.", "muted"),
        ("Prometheus", "Objectives as burn rates; one alert for one cause; dashboards as code.", "muted"),
    ]
    for at, (name, text, accent) in enumerate(cards):
        slide.card(MARGIN + at % 4 * 3.09, TOP + at // 4 * 2.35, 2.86, 2.15, name, text, accent=accent, size=16, heading_size=18)
    slide.relies_on("not_for_volume", "why_trino", "formats")
    slide.notes(1, """
        We asked of each part: what breaks when we remove it?

        Without Kafka, a gateway's burst hits a database. Without Spark, no state survives, and the backfill needs its own
        code. Without Airflow, a script that nobody monitors runs conform, reconcile and assess in order.

        Iceberg gives us exactly once: each commit records its last offset. And Trino lets the quality officer query without
        a copy, and maintains the tables without a Spark session.
    """)


def verdict(slide: Slide) -> None:
    """How the cause is found."""
    slide.title("How the cause is found: one time for every stage")
    _lead(slide, "Progress time: the time up to which a stage has processed all records that entered the pipeline.")
    stages = [
        ("topic", "offsets", "● caught up", "green"),
        ("land", "checkpoint", "■ stuck", "red"),
        ("bronze", "stamp in commit", "↳ affected", "line"),
        ("conform", "newest run", "↳ affected", "line"),
        ("silver", "stamp in commit", "↳ affected", "line"),
        ("view", "Trino's snapshot", "↳ affected", "line"),
    ]
    _chain(slide, 2.05, [(name, state, colour, source) for name, source, state, colour in stages], width=1.78)
    slide.text(MARGIN, 3.5, INNER, 0.34, "Where the age of the data comes from: an illustration, not a measurement", size=16, bold=True, colour="bright")
    parts = ((0.7, "line", "source"), (7.1, "red", "hop lag of land"), (1.5, "line", "conform"), (1.0, "line", "assess"))
    x = MARGIN
    for w, colour, label in parts:
        slide.box(x, 3.92, w - 0.05, 0.36, fill=colour, shape=MSO_SHAPE.RECTANGLE, name="bar")
        slide.text(x, 4.33, max(w, 1.0), 0.3, label, size=14, colour="text" if colour == "line" else colour)
        x += w
    slide.text(10.95, 3.92, 1.8, 0.36, "= data age", size=18, bold=True, colour="bright", anchor="middle")
    rules = [
        ("The sum is exact", "Data age = time since the newest record + the hop lags. A value always shows which hop owns it."),
        ("The first stage is the cause", "Upstream first: failed or stuck, then slow. Stages downstream are affected, and raise no alert."),
        ("Green is never a guess", "A hung probe is unknown. A value shows its age, and whether it is stamped or derived."),
    ]
    for at, (name, text) in enumerate(rules):
        slide.card(MARGIN + at * 4.11, 4.95, 3.9, 1.75, name, text, size=15)
    slide.relies_on("sum_exact", "page_for_cause")
    slide.notes(1, """
        This is the central idea. For each stage we determine one time: up to when has it processed everything? We read it
        from what the system stores: offsets, a checkpoint, a stamp in the commit, a run, the snapshot that Trino serves.

        The differences between neighbours are hop lags, and they add up exactly to the age of the data. The bar is an
        illustration, not a measurement: it shows which hop owns nearly all of the age.

        The verdict names the first stuck stage, upstream first. The stages after it are affected. And a state that we cannot
        determine is unknown.
    """)


def faults(slide: Slide) -> None:
    """What happens when a component fails."""
    slide.title("Fault tolerance: what fails, what waits, what is lost")
    _lead(slide, "Tests stop each component on the real stack. In each case the rest of the console keeps working.")
    rows = [
        ["what fails", "what happens", "what is lost"],
        ["**Kafka**", "the sources and Spark wait, and continue when it is back", "nothing"],
        ["**Store or catalog**", "the query fails and restarts, with pauses of {query_pause}", "nothing"],
        ["**Spark**", "its supervisor restarts it, which takes {spark_restart}", "nothing"],
        ["**Its checkpoint**", "the query reads the topic again, and skips what the table has", "nothing; the verdict shows it"],
        ["**Airflow**", "streaming continues, batch jobs wait", "nothing; verdicts come later"],
        ["**Trino**", "data keeps flowing, queries wait", "nothing"],
    ]
    slide.table(MARGIN, TOP, (2.3, 6.6, 3.23), rows, size=15, row_height=0.46, header_height=0.44)
    slide.card(MARGIN, 5.3, 5.95, 1.4, "Exactly once", "In `bronze`, in `silver.readings` and in `silver.excursions`: each commit has offsets or ids.", accent="green", size=15)
    slide.card(MARGIN + 6.18, 5.3, 5.95, 1.4, "Where not, and how we tested", "The topic `excursions` is at least once. A run with {kills} kills under load lost and duplicated nothing.", accent="amber", size=15)
    slide.relies_on("airflow_fails", "trino_fails", "exactly_once", "excursion_twice")
    slide.notes(1, """
        Read the middle column. When Kafka is down, all wait. When the store is down, the query fails, and restarts with
        pauses of {query_pause}. When Spark is killed, the restart takes {spark_restart}. A lost checkpoint is the hardest
        case: the query reads the topic from its beginning, and skips what the tables have, because each commit has offsets.

        And where we are not exact: the topic of excursions is at least once, so consumers drop repeated event ids. The
        proof is a test that kills Spark, Kafka and the store at random moments under load and counts each record in Trino:
        nothing was lost or duplicated.
    """)


def scale(slide: Slide) -> None:
    """What a growing load requires."""
    slide.title("Scalability: first configuration, then design")
    _lead(slide, "Calculated from rates measured on two cores. We tested one cluster, with a single worker.")
    sizes = ("1", "10", "100", "1000")
    rows = [["load", *(f"{{load_{n}}}" for n in sizes)]]
    rows += [
        [label, *(f"{{{name}_{n}}}" for n in sizes)]
        for label, name in (
            ("records a second", "records"),
            ("partitions of the topic", "partitions"),
            ("cores for landing", "cores"),
            ("trigger", "trigger"),
            ("state of `detect_excursions`", "state"),
        )
    ]
    slide.table(MARGIN, TOP, (3.1, 0.95, 0.95, 1.05, 1.15), rows, size=15, row_height=0.5, header_height=0.46,
                centred=range(1, 5))
    slide.text(8.2, TOP, 4.5, 0.34, "What breaks first", size=16, bold=True, colour="bright")
    steps = [
        ("{load_10}", "small files: maintenance must run hourly, and does", "amber"),
        ("{load_10}", "the MERGE of conform: sort silver by logger, run less often", "amber"),
        ("{load_100}", "assess reads all of silver: make it incremental", "red"),
        ("{load_100}", "state exceeds memory: RocksDB, running summaries", "red"),
        ("{load_1000}", "one catalog, one topic: split by region", "red"),
    ]
    for at, (load, text, colour) in enumerate(steps):
        y = TOP + 0.44 + at * 0.6
        slide.text(8.2, y, 0.95, 0.3, load, size=15, colour=colour, bold=True)
        slide.text(9.15, y, 3.6, 0.52, text, size=14)
    slide.text(MARGIN, 5.25, 3.2, 0.9, ["**For comparison**", "records a second"], size=16, gap=2, colour="muted")
    slide.bars(2.9, 5.02, 9.83, 1.8, {
        "all trackers of the world": slide.number("world"),
        "landed on two cores": slide.number("landed_rate"),
        slide.filled("the load of {load_100}"): slide.number("records_100"),
    }, colours=("muted", "blue", "red"), alt=slide.filled("Bars of records a second: all trackers of the world {world}, landed on two cores {landed_rate}, the load of {load_100} {records_100}"))
    slide.relies_on("one_worker", "unit_load", "first_small_files", "first_merge",
                   "first_assess", "first_state", "first_catalog", "gold_whole")
    slide.notes(1, """
        The table is calculated from measured rates. It is not a measurement of a cluster: we have none here. Landing scales
        with partitions and cores; that is configuration.

        The right side needs more than configuration. At {load_10} small files and the MERGE become slow. At {load_100} assess,
        which reads all of silver, and the state, {state_100}, need another design. We have documented which.

        For comparison: {trackers} trackers that report every {tracker_minutes} send {world} records a second. Those are all
        trackers of the world. Volume is not our reason for Spark.
    """)


def speed(slide: Slide) -> None:
    """Measurements of the jobs."""
    slide.title("Performance: one objective is missed, one was lowered")
    _lead(slide, "A backlog of a million records on two cores. Compare the ratios; the seconds depend on the machine.")
    slide.text(MARGIN, TOP, 7, 0.32, "records or rows a second", size=16, bold=True, colour="bright")
    names = ("read from Kafka", "landed in bronze", "copied as they are", "merged into silver")
    keys = ("read_rate", "landed_rate", "copied_rate", "conformed_rate")
    values = {name: slide.number(key) for name, key in zip(names, keys, strict=True)}
    labels = ", ".join(f"{name} {{{key}}}" for name, key in zip(names, keys, strict=True))
    slide.bars(MARGIN - 0.1, TOP + 0.35, 7.5, 3.2, values, colours=("muted", "green", "muted", "blue"), size=16,
               alt=slide.filled(f"Bars of records a second: {labels}"))
    slide.card(8.3, TOP, 4.43, 1.62, "Reported in time", "Excursions were reported {excursion_reported} after their readings; the objective is {objective_excursion}.", accent="green", size=16)
    slide.card(8.3, TOP + 1.8, 4.43, 1.75, "Landing meets its lowered objective", "{landed_rate} a second; the objective is {landed_aim}. The first one, {landed_first_aim} of the read, was missed.", accent="green", size=16)
    slide.box(MARGIN, 5.75, INNER, 0.95, ["**Trino shows a record** after {visible_p50} triggers (p50) and {visible_p99} triggers (p99): the p99 misses its objective.", "Landing reached {landed_before} a second before. It now lands six times what all trackers of the world send, {world}."], fill="panel", size=16, anchor="middle", gap=3)
    slide.relies_on("backlog", "not_for_volume", "visible_aims")
    slide.holds("landing meets its objective", slide.number("landed_rate") > slide.number("landed_aim"))
    slide.holds("it lands more than the trackers of the world send", slide.number("landed_rate") > 6 * slide.number("world"))
    slide.notes(1, """
        The two grey bars are the reference: how fast the same run reads without processing, and copies rows unchanged.

        Landing reached {landed_rate} a second, {landed_ratio} of the read. We lowered the objective from {landed_first_aim} of
        the read to {landed_aim} a second, and a decision record says why. Most of the time goes into parsing and caching the
        records. A parser that is {parser_gain} as fast, and Java's optimizing compiler, improved it from {landed_before}.

        Conforming reached {conformed_rate}, {conformed_ratio} of a copy, with MERGE. And for the objective of the dispatcher:
        an excursion was reported {excursion_reported} after its reading.
    """)


def layout(slide: Slide) -> None:
    """What partitions and files cost and save."""
    slide.title("Table layout: a query opens only what it needs")
    _lead(slide, "{layout_rows} readings of ten days. Left: what a query of one day opens. Right: what writing costs.")
    names = {"none": "plain", "by day": "by_day", "by day, sorted": "sorted", "by hour": "by_hour", "by logger": "by_logger"}
    slide.text(MARGIN, TOP, 5.8, 0.32, "% of the bytes opened for one day", size=16, bold=True, colour="bright")
    slide.text(6.95, TOP, 5.8, 0.32, "time to write, as a ratio to none", size=16, bold=True, colour="bright")
    colours = ("muted", "green", "muted", "muted", "muted")
    for x, of, form in ((MARGIN - 0.1, "day", '0"%"'), (6.85, "write", "0.0")):
        values = {label: slide.number(f"{key}_{of}") for label, key in names.items()}
        slide.bars(x, TOP + 0.35, 5.9, 3.1, values, colours=colours, form=form,
                   alt=f"Bars for five layouts of a table: {', '.join(f'{k} {v:g}' for k, v in values.items())}")
    slide.card(MARGIN, 5.55, 3.9, 1.2, "Chosen: by day", "A fifth of the bytes, for half as much time again to write.", accent="green",
               size=15)
    slide.card(MARGIN + 4.11, 5.55, 3.9, 1.2, "Not by hour", "{hour_files} files for the same gain.", accent="amber", size=15)
    slide.card(MARGIN + 8.22, 5.55, 3.9, 1.2, "Small files", "{small_bytes} bytes a reading, {large_bytes} in large files.",
               accent="red", size=15)
    part = slide.number("by_day_day") / slide.number("plain_day")
    slide.holds("by day a fifth of the bytes is opened", 0.15 < part < 0.25)
    slide.holds("by day writing takes half as much time again", 1.4 <= slide.number("by_day_write") <= 1.6)
    slide.notes(0.5, """
        The layout limits the speed of SQL. With partitions by day, a query of one day opens {by_day_day} of the bytes instead
        of {plain_day}, and writing takes {by_day_write} times as long. By hour it opens the same, in {hour_files} files. Sorting
        helps readers, so compaction should do it, not the stream. Maintenance reduced {maintenance_before} files to
        {maintenance_after} beside the running stream.
    """)


def monitoring(slide: Slide) -> None:
    """Monitoring in production."""
    slide.title("In production: exporter, alerts, dashboards")
    _lead(slide, "The chart was installed on a kube-apiserver without nodes, but not on OpenShift. No Grafana here.")
    parts = [
        ("Exporter", "one pod on OpenShift, by Helm; no permissions in the cluster", "green"),
        ("Pandora: central Prometheus", "the objective has an error budget of {budget}, and burn rates", "blue"),
        ("Pulse: routing", "one cause, one page, each with its runbook", "blue"),
    ]
    nodes = [
        slide.box(MARGIN, TOP + at * 1.4, 4.3, 1.05, [f"**{name}**", what], edge=edge, anchor="middle", size=16)
        for at, (name, what, edge) in enumerate(parts)
    ]
    slide.connect(nodes, sides=("bottom", "top"))
    slide.text(MARGIN, 6.1, 4.3, 0.55, "Pandora and Pulse: described with tested examples, not connected yet.", size=14,
               colour="muted")
    slide.picture(IMAGES / "dashboards/pipelines.png", 5.2, TOP, 7.53, "The dashboard Pipelines, drawn from a real Prometheus: the stages catch up, land_readings is stuck for two minutes, and each hop has its share of the age of the data",
                  crop=(0.42, 0.295))
    slide.text(5.2, 4.02, 7.53, 0.45, "Dashboard Pipelines, drawn from a real Prometheus: the local stack restarts, twenty minutes behind, and each hop owns its share of the age.", size=12, colour="muted", name="caption")
    slide.card(5.2, 4.75, 7.53, 1.95, "Compared with kminion", [
        "{bench_topics} topics, {bench_groups} groups, all partitions; our values as ratios to kminion's.",
        "Slowest scrape **{scrape_ratio}** · memory **{memory_ratio}** · CPU **{exporter_cpu}**. It scans in the background, half as often.",
    ], accent="amber", size=16, heading_size=18)
    slide.relies_on("half_as_often", "not_on_a_cluster", "no_cluster_yet", "no_grafana", "central", "connected_to_none", "one_pod", "restricted",
                   "dashboard_of_a_broker", "dashboards")
    slide.notes(1, """
        The exporter is one pod that needs no permissions in the cluster. A central Prometheus accepts targets and rules; here
        it is called Pandora, and the routing Pulse. Both names are placeholders.

        The picture is drawn from a real Prometheus: stages that catch up, one that is stopped, and the share of each in the
        age of the data. No Grafana runs here, so the dashboards conform to Grafana's types, but were not opened in it.

        Compared with kminion our scrapes were fast, because none waits for Kafka. It used less memory, but
        {exporter_cpu} of kminion's CPU, although it scans half as often: it has more metrics, such as lags in seconds, and is written in
        Python. The data is up to half a minute old.
    """)


##### Pros and cons


def pros_and_cons(slide: Slide) -> None:
    """Advantages and disadvantages."""
    slide.title("Pros and cons, without marketing")
    _lead(slide, "On the left, what holds today; on the right, its costs and what is not tested.")
    good = [
        "**Names the cause**, upstream first, with evidence and remedy",
        "**Exact in its tables**: commits contain offsets; tested with kills",
        "**No agent**, and metadata only: nothing to install in the systems",
        "**Proof by tag**, kept for {tag_years}, also by maintenance",
        "**One code base** for stream, replay and backfill",
        "**Real on a laptop**: first record {first_record} after a warm start, {memory} of memory, no containers",
    ]
    bad = [
        "**No nodes yet**: chart and image are checked, but not installed on OpenShift",
        "**Spark on one machine only**: a cluster of one worker, in a test",
        "**No Grafana yet**: dashboards are type-checked and drawn, not opened in it",
        "**Costs CPU**: landing, with all its checks, reaches {landed_ratio} of a plain read",
        "**Small files**: {commits_a_day} commits a day need maintenance from the first day",
        "**Much to operate**: five systems and the JVM; one catalog is a single point of failure",
    ]
    for x, heading, lines, colour in ((MARGIN, "For", good, "green"), (MARGIN + 6.18, "Against", bad, "amber")):
        slide.box(x, TOP, 5.95, 4.8, fill="surface", round_=0.05, name="panel")
        slide.bar(x, TOP, 5.95, 0.07, colour)
        slide.text(x + 0.25, TOP + 0.2, 5.4, 0.36, heading, size=20, colour=colour, bold=True)
        slide.text(x + 0.25, TOP + 0.72, 5.45, 4.0, lines, size=16, gap=9)
    slide.relies_on("catalog_single", "trail", "one_worker", "no_cluster_yet", "no_grafana")
    slide.notes(1.5, """
        For it: it names the cause, and the values add up. Exactly once is not a setting but a property of the commits. Nobody has
        to install anything in the systems. A query can read a lot's release for {tag_years}. And all of it runs on a laptop, so a
        new colleague can break it on the first day.

        Against it: it has not been installed on an OpenShift cluster. Spark has run on one machine only, as a cluster of one
        worker. No Grafana was available. The pipeline misses three objectives, and you have seen by how much. Small files need
        maintenance from the first day: it took {maintenance_time} for ten tables beside the stream. And five systems are much to
        operate; for a team that needs only landing, a Connect sink is the better answer.

        We call it an audit trail, and do not claim regulatory compliance.
    """)


##### Improvement and future work


def future(slide: Slide) -> None:
    """Future work."""
    slide.title("Next: test it on real platforms, scale it, extend it")
    _lead(slide, "In this order, because each step may change our plans for the next one.")
    columns = [
        ("Test", "green", [
            "Install, upgrade and roll back the chart on a cluster with nodes",
            "Dashboards in a real Grafana; a real Pandora and Pulse",
            "The jobs on a Spark cluster of several machines",
        ]),
        ("Scale", "amber", [
            "Landing in fewer passes: parse, cache and write in one",
            "`assess_shipments` incremental, from Iceberg's changelog",
            "State in RocksDB, summaries instead of readings",
            "Each record in Trino within its objective, also at p99",
            "A catalog with more than one process",
        ]),
        ("Extend", "blue", [
            "The age of a view, from the tables below it",
            "Kafka's share groups, once its client supports them",
            "A cluster scan in less than kminion's time; today {scan_ratio}",
            "HDFS as the store of raw files, tested and measured",
        ]),
    ]
    for at, (heading, colour, lines) in enumerate(columns):
        x = MARGIN + at * 4.11
        slide.box(x, TOP, 3.9, 4.8, fill="surface", round_=0.05, name="panel")
        slide.bar(x, TOP, 3.9, 0.07, colour)
        slide.text(x + 0.22, TOP + 0.2, 3.5, 0.36, heading, size=20, colour=colour, bold=True)
        slide.text(x + 0.22, TOP + 0.72, 3.5, 4.0, lines, size=16, gap=10)
    slide.relies_on("python_quicker", "scan_ratio", "one_worker",
                   "not_on_a_cluster", "no_grafana", "connected_to_none", "gold_whole", "hdfs", "catalog_single")
    slide.notes(1, """
        Three steps. First, test what we have not tested: a cluster of several machines, a real
        OpenShift, a real Grafana.

        Then scale: fewer passes, an incremental assessment, state outside of memory, and the three missed objectives.

        Then extend: more checks and systems. The results of each step may change our plans for the next one, which is why we
        chose this order.
    """)


##### The DataOps team


def roles(slide: Slide) -> None:
    """Roles, responsibilities, objectives."""
    slide.title("The DataOps team: roles, not heroes")
    _lead(slide, "Each role is responsible for something that can be measured.")
    rows = [
        ["role", "responsible for", "objective, measured by"],
        ["**Data engineer**", "the pipeline: streaming and batch jobs, tables, their tests", "exactly once; data age"],
        ["**On call**", "the running pipeline tonight: assess, decide, act, document", "time to the named cause, to recovery"],
        ["**Platform engineer**", "Kafka, Trino, Airflow, store, catalog; capacity; the chart", "components up; maintenance on time"],
        ["**Monitoring engineer**", "metrics, alerts, runbooks, the central Prometheus", "pages beyond one per cause"],
        ["**Quality officer**, customer", "the verdict on each shipment, the release of lots", "lots in doubt; proofs with one query"],
        ["**Dispatcher**, customer", "the boxes that are still on the ground", "boxes saved after an alert"],
        ["**Product owner**", "order of the work, definition of done", "objectives met"],
    ]
    slide.table(MARGIN, TOP, (2.9, 5.5, 3.73), rows, size=15, row_height=0.58, header_height=0.46)
    slide.relies_on("roles")
    slide.notes(0.5, """
        Roles, not persons. Each is responsible for something that can be measured: the data engineer for exactly once and the age
        of the data, on call for the time to the named cause, monitoring for pages beyond one per cause. Two of the roles are
        customers, and they are part of the team.
    """)


def responsibilities(slide: Slide) -> None:
    """Who is responsible, accountable, consulted, informed; and on call."""
    slide.title("Who does what, and what on call means")
    _lead(slide, "R is responsible, A is accountable, C is consulted, I is informed.")
    rows = [
        ["", "engineer", "on call", "platform", "monitoring", "quality", "owner"],
        ["a stage is stuck at night", "C", "**R, A**", "C", "I", "I", "I"],
        ["a job or a table changes", "**R**", "C", "I", "I", "C", "**A**"],
        ["a component is upgraded", "C", "I", "**R, A**", "I", "I", "I"],
        ["a new alert, a threshold", "C", "C", "I", "**R, A**", "I", "I"],
        ["a product's range", "R", "I", "I", "I", "**A**", "I"],
        ["a lot is released or rejected", "I", "I", "I", "I", "**R, A**", "I"],
        ["review after an incident", "R", "R", "C", "C", "C", "**A**"],
    ]
    slide.table(MARGIN, TOP, (2.75, 1.12, 0.95, 1.08, 1.32, 0.95, 0.83), rows, size=14, row_height=0.56, header_height=0.46,
                centred=range(1, 7))
    slide.box(9.85, TOP, 2.88, 4.38, fill="surface", round_=0.05, name="panel")
    slide.bar(9.85, TOP, 2.88, 0.07, "blue")
    slide.text(10.05, TOP + 0.2, 2.5, 0.34, "On call", size=18, colour="blue", bold=True)
    slide.text(10.05, TOP + 0.64, 2.55, 3.7, [
        "**A page carries a check id** and a runbook",
        "**Read before you act**: verdict, evidence, since when",
        "**Act through the console**: preview, confirmation, audit",
        "**Close** when a canary has arrived",
        "**Review** within two working days, without blame",
    ], size=15, gap=9)
    slide.relies_on(
        "raci_stuck", "raci_change", "raci_upgrade", "raci_alert", "raci_product", "raci_lot", "raci_review", "review"
    )
    slide.notes(0.5, """
        One line matters most: at night, on call is responsible and accountable; everybody else is consulted or informed. By day
        the product owner is accountable for changes, and quality alone for the release of a lot. On call has five rules, on the
        right; the last one is a review within two working days, without blame, from the recording.
    """)


##### Live demo script


def demo_console(slide: Slide) -> None:
    """The console's home screen."""
    slide.title("Live: break it, and let the console name the cause")
    slide.picture(CONSOLE, MARGIN + 0.92, 1.45, 10.3, "The console's home screen with test data: land is stuck with its lag in time and records, the stages below it are affected, and the remedy is a command")
    slide.text(MARGIN, 7.05, 10.6, 0.24, "The console with test data; the live demo shows the real pipeline.", size=11, colour="muted", name="caption")
    slide.notes(0.5, """
        You will see this live in a moment. The first line shows the permitted actions, the worst status and its age. Then comes
        the verdict in one sentence, and the chain of stages, each with its lag. One is red; arrows mark the affected stages below
        it. Then the evidence, and the remedy as a command.

        While you say this, the stack is up in the terminal beside the slides.
    """)


def demo(slide: Slide) -> None:
    """The script of the demo."""
    slide.title("Live demo script")
    _lead(slide, "Two terminals in a clone. Start `make demo` before the talk, and wait for ● ok.")
    rows = [
        ["", "do", "say and show"],
        ["break", "`make stop NAME=land_readings`", "Within {stuck_within}: ✖ critical, and which stage is stuck"],
        ["inspect", "`j`, Enter, then `:kafka logger-readings`", "The topic still grows: the data is in Kafka, not in the table"],
        ["ask", "`dataops probe; echo $?`", "The same verdict without a screen; the exit code means critical"],
        ["fix", "`make start NAME=land_readings`", "An ETA, then ● caught up"],
        ["rewind", "`[` and `{{`, then Esc", "Back to the time when it got stuck; the past is read-only"],
        ["prove", "`:sql`, a lot's release by tag", "What was known at release, beside what is known today"],
        ["close", "`dataops report --since 30m`", "The incident as Markdown, for the review"],
    ]
    slide.table(MARGIN, TOP, (1.1, 4.75, 6.28), rows, size=15, row_height=0.48, header_height=0.42)
    slide.box(MARGIN, 6.0, INNER, 0.7, "**If the stack is down:** `dataops-tui --replay` opens the recorded incident, without any service.", fill="panel", edge="amber", size=16, anchor="middle")
    slide.relies_on("replay", "replay_ready")
    slide.notes(3.5, """
        Before the talk: run make demo at least ten minutes ahead, until the verdict is ok, and try the replay of the shipped
        incident once. In the second terminal: alias dataops='.venv/bin/dataops --config .local/demo/dataops.toml'. Use a large
        font in the terminal, and show the slides on the other screen.

        Zero to thirty seconds: stop land readings. While the console collects evidence, explain that input advances and output
        does not; that is what stuck means, and idle means that there is no new input.

        Thirty seconds to two minutes: read the verdict aloud. Press Enter, and show the values with their age. The topic grows.
        Run dataops probe in the second terminal: exit code two.

        Two minutes to three: copy the remedy with c, start the job, watch it catch up. Go back in time with the brackets, and show
        that the past is read-only.

        Last half minute: the release of a lot by its tag, and the report. If something fails, say so, and open the replay.
    """)


##### Appendix: Q&A


def _answers(slide: Slide, title: str, pairs: Sequence[tuple[str, str]], relies_on: Sequence[str]) -> None:
    slide.title(title)
    slide.relies_on(*relies_on)
    for at, (question, answer) in enumerate(pairs):
        x, y = MARGIN + at % 2 * 6.18, 1.55 + at // 2 * 1.78
        slide.card(x, y, 5.95, 1.62, question, answer, size=16, heading_size=17)
    slide.notes(0, """
        For questions after the talk. The longer answers, with links to the code and tests, are in the questions and answers of
        the documentation.
    """)


def answers_product(slide: Slide) -> None:
    """Questions about the product."""
    _answers(slide, "Questions about the product", [
        ("How do you distinguish stuck from idle?", "Stuck: its input advances and its output does not. Idle: no new input. Pure functions compute both from two snapshots."),
        ("What if a probe fails?", "Then the stage is unknown, never green. A value that is older than a minute is ignored."),
        ("Can a mistake damage production?", "Every action passes one policy: permission, preview, confirmation, audit. SQL is classified by its syntax tree."),
        ("Why a terminal?", "It runs where the engineer is at night: over ssh, in a pod, on a slow connection. `--web` serves it read-only as a web page."),
        ("What does monitoring cost the systems?", "Metadata, no table scans. Manifests are cached; only Trino's coordinator is queried, twice a minute."),
        ("Who pages me, and how often?", "One page for one cause. A test stops a job on the real stack and counts the notifications."),
    ], relies_on=("idle", "stale_value", "one_policy", "terminal", "probe_cost", "metadata_only", "one_page"))


def answers_pipeline(slide: Slide) -> None:
    """Questions about the pipeline."""
    _answers(slide, "Questions about the pipeline", [
        ("Why Spark and not plain Python?", "Not for volume: all trackers of the world send {world} records a second. For state, backfill, exactly once. On one machine plain Python is faster; we measured it."),
        ("Where is it not exactly once?", "In the topic of excursions. It is at least once, so consumers drop repeated event ids."),
        ("A logger's clock is wrong?", "A clock that is ahead is replaced by the gateway's, and the watermark follows the broker's clock."),
        ("A reading is missing. Is the box in range?", "Unknown. More than {evidence} from a reading there is no evidence, and the verdict is to investigate."),
        ("What breaks first at {load_100}?", "The assessment, which reads all of silver, and then the state of the excursions."),
        ("Can you prove what was known at release?", "Yes, by tag: expiry keeps tagged snapshots. It is an audit trail; we do not claim regulatory compliance."),
    ], relies_on=("not_for_volume", "python_quicker", "excursion_twice", "clock", "breaks_first", "by_tag", "trail"))


def answers_storage(slide: Slide) -> None:
    """Questions about SQL, tables and storage."""
    _answers(slide, "Questions about SQL, tables and storage", [
        ("How much does partitioning matter?", "By day, a query of one day takes {range_time} of the time of all; with a function on the time, {hidden_time} times. Small files: {small_time} times."),
        ("S3 or HDFS for raw files?", "S3: storage without compute, access by HTTP, strong consistency. HDFS has better throughput on your own machines. Not tried here."),
        ("How much do small files cost?", "{small_bytes} bytes a reading in small files, {large_bytes} in large ones. Maintenance reduced {maintenance_before} files to {maintenance_after}."),
        ("Is the catalog a single point of failure?", "Yes. Commits wait while it is unavailable, and nothing is lost. In production, use one with several processes."),
        ("Why Trino, when Spark has SQL?", "One engine for people, without a session each, and maintenance without Spark. Warm, Spark takes {trino_spark} as long for an average."),
        ("A new field appears. What stops?", "Nothing. The reading is accepted, the job adds the column when it starts, and older rows have null."),
    ], relies_on=("hdfs", "hdfs_falls", "catalog_single", "why_trino", "new_field"))


SECTIONS: Mapping[str, tuple[Callable[[Slide], None], ...]] = {
    "Introduction": (opening, one_question),
    "Storyline and scenario": (boxes, night_before, night_after),
    "Problem statement": (all_green, objectives),
    "Solutions overview": (criteria, engines, stores),
    "Chosen data pipeline architecture": (pipeline, reasons, verdict, faults, scale, speed, layout, monitoring),
    "Pros and cons": (pros_and_cons,),
    "Improvement and future work": (future,),
    "The DataOps team": (roles, responsibilities),
    "Live demo script": (demo_console, demo),
    "Appendix: Q&A": (answers_product, answers_pipeline, answers_storage),
}
"""The sections in order, each with the functions that draw its slides."""
