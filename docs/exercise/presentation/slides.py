"""What the deck says, slide by slide; `SECTIONS` at the end holds their order. Figures stand in `figures.toml`."""

# A sentence of a slide, and a row of a table, stands on a line of its own.
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
    """Add what each slide has: its section, how far the talk is, its number, and where its figures come from."""
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
    """Draw a pipeline as the console tells it: name, state in words, colour, kind."""
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
               "What it says, what it rests on, and what it cannot do yet."], size=20, colour="muted")
    _chain(slide, 4.95, (
        ("topic", "● caught up", "green", "Kafka"),
        ("land", "■ stuck", "red", "Spark"),
        ("bronze", "↳ affected", "line", "Iceberg"),
        ("conform", "↳ affected", "line", "Airflow"),
        ("silver", "↳ affected", "line", "Iceberg"),
        ("view", "↳ affected", "line", "Trino"),
    ), width=1.6)
    slide.text(MARGIN, 6.3, INNER, 0.32, "One cause in red. What suffers from it is named, and not blamed.", size=16)
    slide.notes(0.5, """
        Good morning. One question brings us here: where is the data stuck, and since when? We show a console that answers
        it, the pipeline that it watches, and why both are built as they are.

        The talk takes twenty-five minutes, and the console runs live at its end. Keep hard questions for the appendix.
    """)


def one_question(slide: Slide) -> None:
    """What the product is."""
    slide.title("One snapshot of every system, four ways to read it")
    _lead(slide, "It reads what the systems keep anyway. Nothing is installed in them; jobs may stamp commits.")
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
        ("Recorder", "back in time, replay, report", "blue"),
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
    slide.rests_on("metadata_only", "stale_value")
    slide.notes(1, """
        On the left is what every team has: five systems, each with a screen of its own. The product asks each of them for
        metadata only: watermarks, checkpoints, manifests, runs.

        In the middle all of it becomes one frozen picture, the health snapshot. One pure function computes lag, state and
        a single verdict with its evidence. On the right are the four readers, and they cannot disagree, because none of
        them computes anything.

        The rule that we hold highest: what cannot be told is unknown, and never green.
    """)


##### Storyline and scenario


def boxes(slide: Slide) -> None:
    """The business of the scenario."""
    slide.title("Boreal Bridge flies vaccines in boxes without power")
    _lead(slide, "A fictional non-profit, on real flights, real delays and the real weather of New York in {year}.")
    steps = [
        ("Depot", "JFK, LaGuardia, Newark: packed with coolant, and a logger in each box", "line"),
        ("Apron", "Concrete at {apron}. A delay makes hours of it, and the coolant runs out", "red"),
        ("Flight", "A scheduled passenger flight; readings come late and in bursts", "line"),
        ("Delivery", "The logger's whole memory lands as a file in the object store", "line"),
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
    slide.text(7.6, 3.5, 5.1, 0.3, "<red>one long delay: the dose is gone, and nobody has seen it</>", size=14)
    figures = [
        ("{boxes_a_day}", "boxes a day, to a hundred towns"),
        ("{reading_minutes} min", "between two readings of a logger"),
        ("{range}", "a product's range, for example"),
        ("{departures}", "real departures to replay"),
    ]
    for at, (value, label) in enumerate(figures):
        _figure(slide, MARGIN + at * 3.11, 4.75, 2.9, value, label)
    slide.box(MARGIN, 5.95, INNER, 0.85, ["**Two promises**: intervene while it can still be saved, and prove it later.",
              "{tolerated} minutes outside of the range may be nothing; {ruined_after} may be the end of {doses} doses."],
              fill="panel", size=16, anchor="middle", gap=3)
    slide.notes(1, """
        Boreal Bridge is invented, but its flights, delays and weather are not: they are the departures of New York's three
        airports in {year}, hour by hour. Only boxes and loggers are simulated, and the simulator knows the truth, so that
        our tests can compare.

        A box has no power. The enemy is not the flight but the apron: {apron} on concrete, and a thunderstorm makes three
        hours out of one. Readings arrive late, in bursts, twice, sometimes as garbage, sometimes with a wrong clock.

        Two promises follow: intervene while a box can be saved, and prove later what was known.
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
    _lead(slide, "Storms over New York. The data stops, and for hours nobody knows.")
    _timeline(slide, (
        ("{t_storm}", "Departures out of JFK are put off, first by {first_delay}, then without a time.", "muted"),
        ("{t_stop}", "`land_readings` dies with the store. Its supervisor gives up. Airflow's DAG runs every {dag_every} and succeeds.", "red"),
        ("{t_dispatcher}", "A dispatcher sees fine temperatures. They are {page_age} old; the page does not say so.", "amber"),
        ("{t_page}", "On call is paged by the lag of another team's topic. Spark commits no offsets.", "amber"),
        ("{t_cause}", "The cause is found by hand, in five tools with five ideas of time.", "amber"),
        ("Morning", "Doubt is treated as failure.", "red"),
    ))
    slide.box(MARGIN, 5.05, INNER, 1.6, fill="surface", name="panel")
    for x, value, label, colour in (
        (0.9, "{out_of_range}", "boxes were out of range for more than their product allows", "red"),
        (4.9, "{in_doubt}", "more, of which nobody can prove that they were not", "amber"),
        (8.9, "{quarantined}", "boxes quarantined, and most of them destroyed", "red"),
    ):
        _figure(slide, x, 5.24, 3.5, value, label, colour)
    slide.notes(1, """
        A night in July. At {t_storm} storms close the departure routes. At {t_stop} the store behind the catalog runs out of
        memory, the Spark query dies with it, and its supervisor has given up. Nothing says so. Kafka takes readings. The DAG
        succeeds, because there is nothing new to conform. Trino answers every query, with rows of {t_stop}.

        A dispatcher looks at {t_dispatcher} and sees temperatures that are {page_age} old. The page does not say that. At {t_cause}
        the cause is found by hand.

        In the morning {quarantined} boxes are in quarantine, and {in_doubt} of them only because nobody could prove anything.
    """)


def night_after(slide: Slide) -> None:
    """The same night with it."""
    slide.title("The same night, after: the cause within thirty seconds")
    _lead(slide, "The same storm and the same crash, with the console on the screen.")
    _timeline(slide, (
        ("{t_verdict}", "`land_readings` is stuck since {t_since}; so many records wait. All downstream is affected, not blamed. One alert.", "red"),
        ("{t_remedy}", "The remedy is one key away. The query starts again by itself, and the screen tells when it will have caught up.", "amber"),
        ("{t_saved}", "Excursions open within seconds of a reading. Two pallets are moved into the shade: saved.", "green"),
        ("Morning", "Dumps fill what gateways lost. What nobody measured is not known, never in range.", "green"),
    ), size=16)
    rows = [
        ["", "before", "after"],
        ["the cause has a name", "{t_cause}", "{t_verdict}"],
        ["lost to delay or doubt", "{quarantined} boxes", "{rejected} boxes, rejected with their minutes"],
        ["what was known at release of lot {lot}", "nobody can say", "one query, by tag"],
    ]
    slide.table(MARGIN, 4.75, (4.7, 2.7, 4.73), rows, size=16, row_height=0.5)
    slide.notes(1, """
        The same evening. At {t_verdict} the home screen says: land readings is stuck, since {t_since}. Everything downstream
        is affected, and one alert goes out for one cause.

        At {t_remedy} the remedy is a key away. Nothing is lost and nothing comes twice. At {t_saved} an excursion opens within
        seconds of its reading, and two pallets are moved into the shade.

        In the morning {rejected} boxes are rejected with their minutes, and the rest are released with proof. These figures
        are those of the story; what was measured comes later.
    """)


##### Problem statement


def all_green(slide: Slide) -> None:
    """Why the tools that exist do not tell."""
    slide.title("Five systems, five truths, and no one asks: how old?")
    _lead(slide, "What each tool said at {t_dispatcher}, and what it could not know.")
    rows = [
        ["system", "what its own screen says", "what it cannot say"],
        ["**Kafka**", "● brokers up, the topic grows", "that nobody lands it: Spark commits no offsets, so no lag"],
        ["**Spark**", "○ nothing: its screen died with the job", "that its checkpoint has planned a batch and not committed it"],
        ["**Iceberg**", "● the table can be read", "that its newest commit is of {t_stop}"],
        ["**Airflow**", "● every run succeeds", "that each of them had nothing to do"],
        ["**Trino**", "● every query answers", "that the rows are of {t_stop} as well"],
    ]
    slide.table(MARGIN, TOP, (1.6, 4.2, 6.33), rows, size=16, row_height=0.6, header_height=0.5)
    slide.box(MARGIN, 5.75, INNER, 0.95, "**The problem: no tool follows the data from topic to table to query.** Each is right about itself, and together they are wrong about the data.", fill="panel", edge="red", size=18,
              anchor="middle")
    slide.notes(1, """
        This is the problem in one table. No tool lies. Kafka is up, the DAG succeeds, Trino answers. Each is right about
        itself, and together they are wrong about the data.

        The deepest hole is Spark: it keeps its position in a checkpoint and commits nothing to Kafka, so the lag that
        everybody alerts on does not exist.

        What is missing is one measure that all of them share: up to which moment has the data passed here?
    """)


def promises(slide: Slide) -> None:
    """What a solution has to keep."""
    slide.title("Five promises that a solution has to keep")
    _lead(slide, "Objectives of the scenario, each with the place where it is measured.")
    tiles = [
        ("{objective_excursion}", "until an excursion is reported, from its reading's arrival", "end-to-end test"),
        ("{objective_age}", "at the most is the age of what the quality officer reads", "metric, burn rates"),
        ("{objective_named}", "until a stuck stage is named", "end-to-end test"),
        ("{objective_exact}", "readings lost, or counted twice", "end-to-end test"),
        ("{objective_pages}", "for one cause, whatever suffers downstream", "end-to-end test"),
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
              "**quiet**, so that the one page at night is believed."], fill="panel", size=18, anchor="middle", gap=4)
    slide.notes(0.5, """
        Five promises, each with a figure: an excursion told within {objective_excursion}, data younger than {objective_age}, a stuck
        stage named within {objective_named}, nothing lost or doubled in a million readings, and one page for one cause. Four are
        held by end-to-end tests on the real components; the age is a metric with an error budget.
    """)


##### Solutions overview


def criteria(slide: Slide) -> None:
    """What the options are judged by."""
    slide.title("Six criteria, the same for every option")
    _lead(slide, "Taken from the two promises and from who runs it. Judged for this scenario; the options were not benchmarked.")
    cards = [
        ("In time", "An excursion is seen in seconds, and a logger is remembered between its readings."),
        ("Exact", "Nothing is lost and nothing counts twice, whatever dies in the middle."),
        ("Mendable", "Backfill, replay after a fix, and a late certificate restate the tables, with the same code."),
        ("Provable", "What was known at release can be read two months later, by a name that maintenance spares."),
        ("Open", "Spark, Trino and Python read one copy. No engine owns the data."),
        ("One team", "A small team can run it at night: few engines, known failures, little special."),
    ]
    for at, (name, text) in enumerate(cards):
        slide.card(MARGIN + at % 3 * 4.11, TOP + at // 3 * 2.43, 3.9, 2.25, name, text, size=18, heading_size=20)
    slide.notes(0.5, """
        Before the options, the criteria. In time and exact come from the promise to intervene; mendable and provable from
        the promise to prove; open and one team from who lives with it. Every option is judged by the same six. It is a
        judgement for this scenario, and we say so: the options were not benchmarked against each other.
    """)


_CRITERIA = ("in time", "exact", "mendable", "provable", "open", "one team")
_WIDTHS = (2.15, 0.92, 0.82, 1.12, 1.07, 0.78, 1.07, 4.2)


def _options(slide: Slide, rows: Sequence[tuple[str, str, str]]) -> None:
    """Judge options by the criteria: name, a letter for each (y, p, n), what decided."""
    words = {"y": "yes", "p": "part", "n": "no"}
    told = [(name, *(words[letter] for letter in letters), why) for name, letters, why in rows]
    slide.table(MARGIN, TOP, _WIDTHS, [("option", *_CRITERIA, "what decided"), *told], size=13, row_height=0.76,
                centred=range(1, 7), marked=[len(rows)])
    slide.text(MARGIN, 6.4, INNER, 0.3, "<green>yes</> meets it · <amber>part</> in part, or with a second engine · <red>no</> does not", size=14, colour="muted")


def engines(slide: Slide) -> None:
    """Options for moving and computing."""
    slide.title("Engines: state, tables and backfill in one of them")
    _lead(slide, "How readings get from the topic into tables and alerts.")
    _options(slide, [
        ("**Batch only**", "nyyyyy", "**In time.** Simple and exact, but a box is lost before the next run has seen it"),
        ("**Flink**", "yypyyp", "**One team.** Better state and lower latency than we need; MERGE into tables would stay with a second engine"),
        ("**Kafka Streams**", "ypnnpp", "**Mendable.** It writes to Kafka; tables, MERGE and backfill need a second engine"),
        ("**Kafka Connect sink**", "nynyyy", "**Mendable.** Lands well, but keeps no state, quarantines without reasons, and shares no parser with replay"),
        ("**Spark** Structured Streaming", "yyyyyp", "**Chosen.** Stream, backfill and MERGE are one code in one engine; its price is the JVM and a trigger of seconds"),
    ])
    slide.rests_on("flink", "kafka_streams", "connect")
    slide.notes(1.5, """
        Batch only is the honest first question, since it meets five of six. It fails the one that saves boxes: by the next
        run the dose is gone.

        Flink is the strongest rival: better state, lower latency. A few seconds are enough here, and one engine for stream,
        backfill and MERGE weighs more for a small team. With a promise of milliseconds we would choose Flink.

        Kafka Streams ends in Kafka; the tables would need a second engine. A Connect sink is right for landing alone, and we
        need state, quarantine with reasons, and a parser that replay shares.

        So Spark, and not for volume: for state, backfill and fault tolerance.
    """)


def stores(slide: Slide) -> None:
    """Options for keeping."""
    slide.title("Storage: proof by tag, on one open copy")
    _lead(slide, "Where readings and verdicts are kept, and who can read them.")
    _options(slide, [
        ("**Delta Lake**", "yyyppy", "**Provable.** Time travel, but no tags and branches for a lot's release; its best tools are one vendor's"),
        ("**Hudi**", "yyyppp", "**Provable.** Strongest in upserts by key from streams; the release of lots weighs more here"),
        ("**A warehouse**", "pyppny", "**Open.** Little to run, but one engine owns the only copy, and Spark's state stays outside of it"),
        ("**HDFS** for the files", "yyyypn", "**One team.** Falls with its NameNode, grows with compute; fast on own machines. Not tried here"),
        ("**Iceberg on S3**", "yyyyyp", "**Chosen.** Tags, branches and hidden partitions, three engines on one catalog; its price is maintenance of small files"),
    ])
    slide.rests_on("formats", "hdfs", "hdfs_falls")
    slide.notes(1.5, """
        The formats are close to each other, and each would hold the data. The release of a lot decided: we write to a branch,
        audit it, publish it, and tag it, and a tag survives maintenance. Iceberg has both as a part of its specification, and
        Spark, Trino and Python meet at one open catalog.

        A warehouse would be the least to run. It owns the only copy, and the stream's state stays outside.

        S3 and HDFS: storage that grows without compute, reached by anything that speaks HTTP. Consistency is no argument any
        more, listing is none with Iceberg, and a commit is a swap in the catalog, so a rename is none either. HDFS wins in
        throughput on machines of one's own, and in append. We have not tried it.
    """)


##### Chosen data pipeline architecture


def pipeline(slide: Slide) -> None:
    """The pipeline."""
    slide.title("The pipeline: one way in, two speeds, one way to read")
    _lead(slide, "Seconds for who can still act, minutes for who has to prove.")

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
    conform = node(6.35, proof, "conform", "each {conform_every}", "amber", 1.6)
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
    slide.box(MARGIN, 5.95, INNER, 0.8, "**DataOps TUI reads every one of these**: offsets, checkpoints, commits, runs, what Trino serves. One progress time for all, by the broker's clock.", fill="panel", edge="blue", dashed=True, size=16,
              anchor="middle")
    slide.notes(1.5, """
        From the left: gateways pass readings into one Kafka topic. Two Spark streams read it.

        Above is the way of proof. Land readings keeps every record raw, exactly once, and what is no reading with its reason.
        Each {conform_every} conform merges it: one row for each reading, clocks and calibration put right. Assess judges each
        shipment on a branch, audits it, and only then publishes.

        Below is the way of rescue. Detect keeps the state of each logger, and tells an excursion within seconds, to a table
        and a topic.

        The raw files, dumps of loggers, flights and weather, lie in S3, and Airflow brings them in; each {reconcile_every} a
        DAG compares the dumps with the stream. The frame below is the product: it watches each box, by one clock.
    """)


def _reader(slide: Slide, x: float, y: float, w: float, who: str, when: str) -> Shape:
    return slide.box(x, y, w, 0.8, [f"**{who}**", when], fill="panel", align="center", anchor="middle", gap=1, inset=0.05)


def reasons(slide: Slide) -> None:
    """Why each technology is there."""
    slide.title("Each technology has one reason to be here")
    _lead(slide, "What breaks in this scenario if it is taken out.")
    cards = [
        ("Kafka", "Bursts of gateways that were offline; several readers; replay from any offset.", "blue"),
        ("Spark", "State of each logger that survives a crash; backfill of a year with the code of the stream.", "amber"),
        ("Airflow", "Ordered work: conform, reconcile, assess, maintain; forms for manual runs.",
         "amber"),
        ("Iceberg", "Commits that carry offsets, so exactly once; branches to audit; tags to prove.", "green"),
        ("S3", "Raw files of four makers, from anywhere by HTTP; grows without compute.", "green"),
        ("Trino", "SQL for people over the same tables, without a copy; maintenance without starting Spark.", "blue"),
        ("Python", "One language for jobs, DAGs, console and exporter; one team reads it all.", "muted"),
        ("Prometheus", "Promises as burn rates; one alert for one cause; dashboards as code.", "muted"),
    ]
    for at, (name, text, accent) in enumerate(cards):
        slide.card(MARGIN + at % 4 * 3.09, TOP + at // 4 * 2.35, 2.86, 2.15, name, text, accent=accent, size=16, heading_size=18)
    slide.rests_on("not_for_volume", "why_trino", "formats")
    slide.notes(1, """
        We asked of each part: what breaks when we take it out?

        Without Kafka a gateway's burst meets a database. Without Spark there is no state that survives, and the backfill is
        second code. Without Airflow the order of conforming, reconciling and judging is a script that nobody sees.

        Iceberg is where exactly once comes from: each commit says up to which offset it goes. And Trino lets the quality
        officer ask without a copy, and keeps the tables without a Spark session.
    """)


def verdict(slide: Slide) -> None:
    """How the cause is found."""
    slide.title("How the cause is found: one time for every stage")
    _lead(slide, "Progress time: the instant up to which everything that entered the pipeline has passed a stage.")
    stages = [
        ("topic", "offsets", "● caught up", "green"),
        ("land", "checkpoint", "■ stuck", "red"),
        ("bronze", "stamp in commit", "↳ affected", "line"),
        ("conform", "newest run", "↳ affected", "line"),
        ("silver", "stamp in commit", "↳ affected", "line"),
        ("view", "what Trino serves", "↳ affected", "line"),
    ]
    _chain(slide, 2.05, [(name, state, colour, source) for name, source, state, colour in stages], width=1.78)
    slide.text(MARGIN, 3.5, INNER, 0.34, "Where the age of the data comes from: a drawing, not a measurement", size=16, bold=True, colour="bright")
    parts = ((0.7, "line", "source"), (7.1, "red", "hop lag of land: its own"), (1.5, "line", "conform"), (1.0, "line", "assess"))
    x = MARGIN
    for w, colour, label in parts:
        slide.box(x, 3.92, w - 0.05, 0.36, fill=colour, shape=MSO_SHAPE.RECTANGLE, name="bar")
        slide.text(x, 4.33, max(w, 1.0), 0.3, label, size=14, colour="text" if colour == "line" else colour)
        x += w
    slide.text(10.95, 3.92, 1.8, 0.36, "= data age", size=18, bold=True, colour="bright", anchor="middle")
    rules = [
        ("The sum is exact", "Data age = time since the newest record + the hop lags. So a figure always says which hop owns it."),
        ("First to blame wins", "Upstream first: failed or stuck, then slow. All downstream is affected, and raises nothing."),
        ("Never a green by guess", "A hung probe is unknown. A figure carries its age, and says if it was stamped or derived."),
    ]
    for at, (name, text) in enumerate(rules):
        slide.card(MARGIN + at * 4.11, 4.95, 3.9, 1.75, name, text, size=15)
    slide.rests_on("sum_exact", "page_for_cause")
    slide.notes(1, """
        This is the heart. Each stage is asked one question: up to which instant has everything passed you? The answer is read
        from what the system keeps: offsets, a checkpoint, a stamp in the commit, a run, the snapshot that Trino serves.

        The differences between neighbours are hop lags, and they add up exactly to the age of the data. The bar is a drawing,
        not a measurement: it shows that one hop owns nearly all of the age, and which.

        The first one upstream that is stuck gets the verdict. The others are affected. And what cannot be told is unknown.
    """)


def faults(slide: Slide) -> None:
    """What happens when something dies."""
    slide.title("Fault tolerance: what dies, what waits, what is lost")
    _lead(slide, "Tests take each component away on the real stack. In each case the rest of the console goes on.")
    rows = [
        ["what dies", "what happens", "what is lost"],
        ["**Kafka**", "the sources and Spark wait, and go on when it is back", "nothing"],
        ["**Store or catalog**", "the query dies and is started again, with pauses of {query_pause}", "nothing"],
        ["**Spark**", "its supervisor starts it again, {spark_restart}", "nothing"],
        ["**Its checkpoint**", "the topic is read again; what a table has already is left out", "nothing; the verdict says so"],
        ["**Airflow**", "streaming goes on, batch waits", "nothing; verdicts come later"],
        ["**Trino**", "data flows on, readers wait", "nothing"],
    ]
    slide.table(MARGIN, TOP, (2.3, 6.6, 3.23), rows, size=15, row_height=0.46, header_height=0.44)
    slide.card(MARGIN, 5.3, 5.95, 1.4, "Exactly once", "In `bronze`, in `silver.readings`, and in `silver.excursions`: each commit carries offsets or ids.", accent="green", size=15)
    slide.card(MARGIN + 6.18, 5.3, 5.95, 1.4, "Where not, and how we know", "The topic `excursions` is at least once. In one run, Spark, Kafka and the store were killed {kills} times under load: nothing lost, nothing twice.", accent="amber", size=15)
    slide.rests_on("airflow_fails", "trino_fails", "exactly_once", "excursion_twice")
    slide.notes(1, """
        Read the middle column. Kafka away: all wait. The store away: the query dies, and is started again with pauses of
        {query_pause}. Spark killed: {spark_restart}. A lost checkpoint is the mean one: the topic is read from its beginning,
        and what the tables have is left out, because each commit says how far it goes.

        And where we are not exact: the topic of excursions is at least once, so readers drop what repeats an event's id. The
        proof is a test that kills Spark, Kafka and the store at random moments under load and counts each record in Trino:
        nothing lost, nothing twice.
    """)


def scale(slide: Slide) -> None:
    """What it takes when the load grows."""
    slide.title("Scalability: configuration up to a point, then design")
    _lead(slide, "Worked out from rates measured on two cores. Of clusters, one with a single worker has been tried.")
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
    slide.text(8.2, TOP, 4.5, 0.34, "What gives way first", size=16, bold=True, colour="bright")
    steps = [
        ("{load_10}", "small files: maintenance must run hourly, and does", "amber"),
        ("{load_10}", "the MERGE of conform: sort silver by logger, run less often", "amber"),
        ("{load_100}", "assess reads all of silver: make it incremental", "red"),
        ("{load_100}", "state is no memory any more: RocksDB, running summaries", "red"),
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
    slide.rests_on("one_worker", "unit_load", "first_small_files", "first_merge",
                   "first_assess", "first_state", "first_catalog", "gold_whole")
    slide.notes(1, """
        The table is arithmetic on measured rates, not a measurement of a cluster: we have none here. Landing grows by
        partitions and cores; that is configuration.

        On the right is what is not. At {load_10} small files and the MERGE hurt. At {load_100} assess, which reads all of silver,
        and the state, {state_100}, need another design. We know which, and have written it down.

        And for proportion: {trackers} trackers that report each {tracker_minutes} make {world} records a second. That is the
        world. We are not here for volume.
    """)


def speed(slide: Slide) -> None:
    """What was measured of the jobs."""
    slide.title("Performance: measured, and short of three aims")
    _lead(slide, "A backlog of a million records on two cores. Ratios count; seconds are a machine's.")
    slide.text(MARGIN, TOP, 7, 0.32, "records or rows a second", size=16, bold=True, colour="bright")
    names = ("read from Kafka", "landed in bronze", "copied as they are", "merged into silver")
    keys = ("read_rate", "landed_rate", "copied_rate", "conformed_rate")
    values = {name: slide.number(key) for name, key in zip(names, keys, strict=True)}
    told = ", ".join(f"{name} {{{key}}}" for name, key in zip(names, keys, strict=True))
    slide.bars(MARGIN - 0.1, TOP + 0.35, 7.5, 3.2, values, colours=("muted", "amber", "muted", "blue"), size=16,
               alt=slide.filled(f"Bars of records a second: {told}"))
    slide.card(8.3, TOP, 4.43, 1.62, "Seen in time", "Excursions were seen {excursion_reported} after their readings; promised are {objective_excursion}.", accent="green", size=16)
    slide.card(8.3, TOP + 1.8, 4.43, 1.75, "Landing misses its aim", "{landed_ratio} of the plain read, where {landed_aim} was the aim. Most of the time goes into telling what is wrong with a record.", accent="amber", size=16)
    slide.box(MARGIN, 5.75, INNER, 0.95, ["**Trino shows a record** after {visible_p50} triggers at the median, {visible_p99} for nearly all: also short of the aim.", "Landing took {landed_before} a second before; it takes three times what all trackers of the world send, {world}."], fill="panel", size=16, anchor="middle", gap=3)
    slide.rests_on("backlog", "not_for_volume")
    slide.holds("landing misses its aim", slide.number("landed_ratio") < slide.number("landed_aim"))
    slide.holds("it lands more than the trackers of the world send", slide.number("landed_rate") > 3 * slide.number("world"))
    slide.notes(1, """
        Two grey bars are the yardstick: how fast the same run reads without doing anything, and copies rows as they are.

        Landing reached {landed_rate} a second, {landed_ratio} of the read. Our aim was {landed_aim}, so it missed. Most of
        the time goes into saying what is wrong with a record. A parser that is {parser_gain} as fast, and Java's optimizing
        compiler, brought it from {landed_before} to here.

        Conforming reached {conformed_rate}, {conformed_ratio} of a copy, with MERGE. And what the promise is about: an excursion
        was seen {excursion_reported} after its reading.
    """)


def layout(slide: Slide) -> None:
    """What partitions and files cost and save."""
    slide.title("Layout of tables: a query opens what it needs")
    _lead(slide, "{layout_rows} readings of ten days. Left: what a query of one day opens. Right: what writing costs.")
    names = {"none": "plain", "by day": "by_day", "by day, sorted": "sorted", "by hour": "by_hour", "by logger": "by_logger"}
    slide.text(MARGIN, TOP, 5.8, 0.32, "% of the bytes opened for one day", size=16, bold=True, colour="bright")
    slide.text(6.95, TOP, 5.8, 0.32, "time to write, as a ratio to none", size=16, bold=True, colour="bright")
    colours = ("muted", "green", "muted", "muted", "muted")
    for x, of, form in ((MARGIN - 0.1, "day", '0"%"'), (6.85, "write", "0.0")):
        values = {label: slide.number(f"{key}_{of}") for label, key in names.items()}
        slide.bars(x, TOP + 0.35, 5.9, 3.1, values, colours=colours, form=form,
                   alt=f"Bars for five layouts of a table: {', '.join(f'{k} {v:g}' for k, v in values.items())}")
    slide.card(MARGIN, 5.55, 3.9, 1.2, "Chosen: by day", "A fifth of the bytes, for half as much time again.", accent="green",
               size=15)
    slide.card(MARGIN + 4.11, 5.55, 3.9, 1.2, "Not by hour", "{hour_files} files for the same gain.", accent="amber", size=15)
    slide.card(MARGIN + 8.22, 5.55, 3.9, 1.2, "Small files", "{small_bytes} bytes a reading, {large_bytes} in large files.",
               accent="red", size=15)
    part = slide.number("by_day_day") / slide.number("plain_day")
    slide.holds("by day a fifth of the bytes is opened", 0.15 < part < 0.25)
    slide.holds("by day writing takes half as much time again", 1.4 <= slide.number("by_day_write") <= 1.6)
    slide.notes(0.5, """
        SQL is as fast as the layout lets it be. Partitioned by day, a query of one day opens {by_day_day} of the bytes in place
        of {plain_day}, and writing takes {by_day_write} times as long. By hour it opens the same, in {hour_files} files. Sorting
        pays for readers, so compaction should do it, not the stream. Maintenance took {maintenance_before} files to {maintenance_after} beside
        the running stream.
    """)


def monitoring(slide: Slide) -> None:
    """How it is watched in production."""
    slide.title("In production: exporter, alerts, dashboards")
    _lead(slide, "The chart was installed on a kube-apiserver without nodes; on no OpenShift yet. No Grafana here.")
    parts = [
        ("Exporter", "one pod on OpenShift, by Helm; no right in the cluster", "green"),
        ("Pandora: central Prometheus", "a promise has an error budget of {budget}, and burn rates", "blue"),
        ("Pulse: routing", "one cause, one page, each with its runbook", "blue"),
    ]
    nodes = [
        slide.box(MARGIN, TOP + at * 1.4, 4.3, 1.05, [f"**{name}**", what], edge=edge, anchor="middle", size=16)
        for at, (name, what, edge) in enumerate(parts)
    ]
    slide.connect(nodes, sides=("bottom", "top"))
    slide.text(MARGIN, 6.1, 4.3, 0.55, "Pandora and Pulse: described with tested examples, connected to none.", size=14,
               colour="muted")
    slide.picture(IMAGES / "dashboards/pipelines.png", 5.2, TOP, 7.53, "The dashboard Pipelines, drawn from a real Prometheus: the stages catch up and land_readings is stuck for two minutes, with the share of each hop in the age of the data",
                  crop=(0.42, 0.295))
    slide.text(5.2, 4.02, 7.53, 0.45, "Dashboard Pipelines, drawn from a real Prometheus: the local stack starts again, twenty minutes behind, and each hop owns its share of the age.", size=12, colour="muted", name="caption")
    slide.card(5.2, 4.75, 7.53, 1.95, "Beside its peer, kminion", [
        "{bench_topics} topics, {bench_groups} groups, all partitions; ours as a ratio to kminion's, in two runs.",
        "Slowest scrape **{scrape_ratio}** · memory **{memory_ratio}** · CPU **{exporter_cpu}** of kminion's, as it looks in advance and half as often.",
    ], accent="amber", size=16, heading_size=18)
    slide.rests_on("half_as_often", "not_on_a_cluster", "no_cluster_yet", "no_grafana", "central", "connected_to_none", "one_pod", "restricted",
                   "dashboard_of_a_broker", "dashboards")
    slide.notes(1, """
        The exporter is one pod that needs no right in the cluster. Prometheus takes targets and rules on; the platform calls that
        part Pandora here, and the routing Pulse. Both names are placeholders.

        The picture is drawn from a real Prometheus: stages that catch up, one that is stopped, and the share of each in the age of the data. No Grafana
        runs here, so the dashboards have passed Grafana's own types and have not been seen in it.

        Beside kminion our scrapes were quick, because none waits for Kafka. CPU was {exporter_cpu} of kminion's, with half as
        many looks at the cluster; the price is data that is up to half a minute old.
    """)


##### Pros and cons


def pros_and_cons(slide: Slide) -> None:
    """What speaks for it, and against it."""
    slide.title("Pros and cons, as we would tell a friend")
    _lead(slide, "What holds today on the left; what it costs, or has not shown, on the right.")
    good = [
        "**Names the cause**, upstream first, with evidence and remedy",
        "**Exact in its tables**: offsets travel in the commits, and it held under kills",
        "**No agent**, and metadata only: nothing to install at the systems",
        "**Proof by tag**, kept for {tag_years}, spared by maintenance",
        "**One code** for stream, replay and backfill",
        "**Real on a laptop**: first record {first_record} after a warm start, {memory} of memory, no containers",
    ]
    bad = [
        "**No nodes yet**: chart and image checked, installed on no OpenShift",
        "**Spark on one machine only**: a cluster of one worker, in a test",
        "**No Grafana seen**: dashboards typed and drawn, not opened in it",
        "**Costs CPU**: landing takes in {landed_ratio} of what plain reading does, aim {landed_aim}",
        "**Small files**: {commits_a_day} commits a day need maintenance from the first day",
        "**Much to run**: five systems and the JVM; one catalog is a single point of failure",
    ]
    for x, heading, lines, colour in ((MARGIN, "For", good, "green"), (MARGIN + 6.18, "Against", bad, "amber")):
        slide.box(x, TOP, 5.95, 4.8, fill="surface", round_=0.05, name="panel")
        slide.bar(x, TOP, 5.95, 0.07, colour)
        slide.text(x + 0.25, TOP + 0.2, 5.4, 0.36, heading, size=20, colour=colour, bold=True)
        slide.text(x + 0.25, TOP + 0.72, 5.45, 4.0, lines, size=16, gap=9)
    slide.rests_on("catalog_single", "trail", "one_worker", "no_cluster_yet", "no_grafana")
    slide.notes(1.5, """
        For it: it names the cause, and the figures add up. Exactly once is not a setting but a property of the commits. Nobody has
        to install anything at the systems. A lot's release can be read for {tag_years}. And all of it runs on a laptop, so a new
        colleague breaks it on the first day.

        Against it, plainly: it has been installed on no OpenShift cluster. Spark has run on one machine only, as a cluster of one worker. No Grafana was at hand.
        Three aims of performance are missed, and you have seen by how much. Small files need maintenance from the first day: it took
        {maintenance_time} for ten tables beside the stream. And five systems are much to run; for a team that needs only landing, a
        Connect sink is the better answer.

        We say audit trail, and never compliant.
    """)


##### Improvement and future work


def future(slide: Slide) -> None:
    """What comes next."""
    slide.title("Next: show it, then scale it, then widen it")
    _lead(slide, "In the order in which each would change our minds about something.")
    columns = [
        ("Show", "green", [
            "Install, upgrade and roll back the chart on a cluster with nodes",
            "Dashboards in a real Grafana; Pandora and Pulse for real",
            "The jobs on a Spark cluster of several machines",
        ]),
        ("Scale", "amber", [
            "Landing in fewer passes: parse, keep and write in one",
            "`assess_shipments` incremental, from Iceberg's changelog",
            "State in RocksDB, summaries in place of readings",
            "Landing to its aim of {landed_aim} of a plain read",
            "A catalog with more than one process",
        ]),
        ("Widen", "blue", [
            "How fresh a view is, by the tables below it",
            "Kafka's share groups, once its client tells of them",
            "Protobuf with a schema registry in the peek",
            "A scan of Kafka from {scan_ratio} of kminion's time to half",
            "HDFS as the store of raw files, tried and measured",
        ]),
    ]
    for at, (heading, colour, lines) in enumerate(columns):
        x = MARGIN + at * 4.11
        slide.box(x, TOP, 3.9, 4.8, fill="surface", round_=0.05, name="panel")
        slide.bar(x, TOP, 3.9, 0.07, colour)
        slide.text(x + 0.22, TOP + 0.2, 3.5, 0.36, heading, size=20, colour=colour, bold=True)
        slide.text(x + 0.22, TOP + 0.72, 3.5, 4.0, lines, size=16, gap=10)
    slide.rests_on("python_quicker", "scan_ratio", "one_worker",
                   "not_on_a_cluster", "no_grafana", "connected_to_none", "gold_whole", "hdfs", "catalog_single")
    slide.notes(1, """
        Three steps. First show what we claim but have not shown: a real cluster of several machines, a real
        OpenShift, a real Grafana.

        Then scale: fewer passes, an incremental assessment, state out of memory, and the three aims that we miss.

        Then widen: more checks, Protobuf. Each item would change our minds about something, and that
        is why the order is this one.
    """)


##### The DataOps team


def roles(slide: Slide) -> None:
    """Roles, responsibilities, objectives."""
    slide.title("The DataOps team: roles, not heroes")
    _lead(slide, "Each role answers for something that can be measured.")
    rows = [
        ["role", "responsible for", "objective, measured by"],
        ["**Data engineer**", "the pipeline: streaming and batch jobs, tables, their tests", "exactly once; data age"],
        ["**On call**", "the running pipeline tonight: see, decide, act, write down", "time to the named cause, to recovery"],
        ["**Platform engineer**", "Kafka, Trino, Airflow, store, catalog; capacity; the chart", "components answer; maintenance on time"],
        ["**Monitoring engineer**", "metrics, alerts, runbooks, the central Prometheus", "pages that were not one cause"],
        ["**Quality officer**, customer", "the verdict on each shipment, the release of lots", "doubted lots; proofs in one query"],
        ["**Dispatcher**, customer", "the boxes that are still on the ground", "boxes saved after an alert"],
        ["**Product owner**", "what is built next, and what done means", "promises kept"],
    ]
    slide.table(MARGIN, TOP, (2.9, 5.5, 3.73), rows, size=15, row_height=0.58, header_height=0.46)
    slide.rests_on("roles")
    slide.notes(0.5, """
        Roles, not persons. Each answers for something that can be measured: the data engineer for exactly once and the age of the
        data, on call for the time to the named cause, monitoring for pages that were not one cause. Two of the roles are
        customers, and they sit at the table.
    """)


def responsibilities(slide: Slide) -> None:
    """Who does, answers, is consulted, is informed; and on call."""
    slide.title("Who does what, and what on call means")
    _lead(slide, "R does it, A is accountable, C is consulted, I is informed.")
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
        "**Look before acting**: verdict, evidence, since when",
        "**Act through the policy**: shown, confirmed, audited",
        "**Over** is when a canary has arrived",
        "**Review** within two working days, without blame",
    ], size=15, gap=9)
    slide.rests_on(
        "raci_stuck", "raci_change", "raci_upgrade", "raci_alert", "raci_product", "raci_lot", "raci_review", "review"
    )
    slide.notes(0.5, """
        One line matters most: at night on call does and answers; everybody else is asked or told. By day the product owner answers
        for changes, and quality alone for the release of a lot. On call has five rules, on the right; the last one is a review
        within two working days, without blame, from the recording.
    """)


##### Live demo script


def demo_console(slide: Slide) -> None:
    """What the console shows."""
    slide.title("Live: break it, and let the console say what broke")
    slide.picture(CONSOLE, MARGIN + 0.62, 1.5, 10.9, "The console's home screen: land_readings is stuck with its lag and the records that wait, the stages below it are affected, and the remedy is a command")
    slide.notes(0.5, """
        This is what you are about to see live. The first line: what may be done here, the worst status, how old it is. Then the
        verdict in one sentence. The chain of stages, each with its lag. One is red; the arrows below it mark what only suffers.
        Then the evidence, and the remedy as a command.

        While you say this, the stack is up in the terminal beside the slides.
    """)


def demo(slide: Slide) -> None:
    """The script of the demo."""
    slide.title("Live demo script")
    _lead(slide, "Two terminals in a clone. `make demo` runs since before the talk: wait for ● ok in the first one.")
    rows = [
        ["", "do", "say and see"],
        ["break", "`make stop NAME=land_readings`", "Within {stuck_within}: ✖ critical, and which stage is stuck"],
        ["look", "`j`, Enter, then `:kafka logger-readings`", "The topic still grows: the data is in Kafka, not in the table"],
        ["ask", "`dataops probe; echo $?`", "The same verdict without a screen; the exit code says critical"],
        ["fix", "`make start NAME=land_readings`", "A time by which it will have caught up; then ● caught up"],
        ["rewind", "`[` and `{{`, then Esc", "Back to the moment it got stuck; nothing can be changed there"],
        ["prove", "`:sql`, a lot's release by tag", "What was known at release, beside what is known today"],
        ["close", "`dataops report --since 30m`", "The incident as Markdown, for the review"],
    ]
    slide.table(MARGIN, TOP, (1.1, 4.75, 6.28), rows, size=15, row_height=0.48, header_height=0.42)
    slide.box(MARGIN, 6.0, INNER, 0.7, "**If the stack is down:** `dataops-tui --replay` opens the recorded incident that ships, with no service at all.", fill="panel", edge="amber", size=16, anchor="middle")
    slide.rests_on("replay", "replay_ready")
    slide.notes(3.5, """
        Before the talk: make demo, at least ten minutes ahead, until the verdict is ok; try the replay of the incident that
        ships once. In the second terminal: alias dataops='.venv/bin/dataops --config .local/demo/dataops.toml'. Terminal with a large font, slides on the other screen.

        Zero to thirty seconds: stop land readings. While the console waits for its evidence, tell that input advances and output
        does not; that is what stuck means, and idle is something else.

        Thirty seconds to two minutes: read the verdict aloud. Enter, figures with their age. The topic grows. Ask dataops probe in
        the second terminal: exit code two.

        Two minutes to three: copy the remedy with c, start the job, watch it catch up. Go back in time with the brackets, and show
        that the past changes nothing.

        Last half minute: the release of a lot by its tag, and the report. If something fails, say so, and open the replay.
    """)


##### Appendix: Q&A


def _answers(slide: Slide, title: str, pairs: Sequence[tuple[str, str]], rests_on: Sequence[str]) -> None:
    slide.title(title)
    slide.rests_on(*rests_on)
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
        ("How do you know stuck from idle?", "Its input advances and its output does not. Without new input it is idle. Both are pure functions of two snapshots."),
        ("What if the monitor itself cannot see?", "Then the stage is unknown, never green. A figure older than a minute counts as none."),
        ("Can a mistake in the console hurt production?", "Every change passes one policy: preview, confirmation, audit. SQL is classified by its syntax tree."),
        ("Why a terminal?", "It runs where the engineer is at night: behind ssh, in a pod, on a bad line. A web page is one option away, read-only."),
        ("What does looking cost the systems?", "Metadata, no table scans. Manifests are remembered; Trino's coordinator is asked, seldom."),
        ("Who wakes me, and how often?", "One page for one cause. A test stops a job on the real stack and counts what the receiver gets."),
    ], rests_on=("idle", "stale_value", "one_policy", "terminal", "probe_cost", "metadata_only", "one_page"))


def answers_pipeline(slide: Slide) -> None:
    """Questions about the pipeline."""
    _answers(slide, "Questions about the pipeline", [
        ("Why Spark and not plain Python?", "Not for volume: all trackers of the world make {world} records a second. For state, backfill, exactly once. On one machine plain Python is quicker; we measured it."),
        ("Exactly once: where not?", "In the topic of excursions: at least once, so drop what repeats an event's id."),
        ("A logger's clock is wrong?", "A clock that is ahead is replaced by the gateway's, and the watermark is on the broker's clock."),
        ("A reading is missing. Is the box in range?", "Not known. Beyond {evidence} of a reading there is no evidence, and the verdict is to investigate."),
        ("What breaks first at {load_100}?", "The assessment, which reads all of silver, and then the state of the excursions."),
        ("Can you prove what was known at release?", "By tag, and a tag is spared by expiry. We say audit trail; nobody here says compliant."),
    ], rests_on=("not_for_volume", "python_quicker", "excursion_twice", "clock", "breaks_first", "by_tag", "trail"))


def answers_storage(slide: Slide) -> None:
    """Questions about SQL, tables and storage."""
    _answers(slide, "Questions about SQL, tables and storage", [
        ("How much does partitioning matter?", "By day, one day takes {range_time} of the time of all; hidden behind a function, {hidden_time} times. Small files take {small_time} times."),
        ("S3 or HDFS for raw files?", "S3: cost without compute, access by HTTP, strong consistency. HDFS wins in throughput on own machines. Not tried here."),
        ("How much do small files cost?", "{small_bytes} bytes a reading in small files, {large_bytes} in large ones. Maintenance took {maintenance_before} files to {maintenance_after}."),
        ("Is the catalog a single point of failure?", "Yes. Commits wait while it is away, and nothing is lost. In production take one with several processes."),
        ("Why Trino, when Spark has SQL?", "One engine for people, without a session each, and maintenance without Spark. Warm, Spark takes {trino_spark} as long for an average."),
        ("A new field appears. What stops?", "Nothing. The reading counts, the column is added when the job starts, older rows have null."),
    ], rests_on=("hdfs", "hdfs_falls", "catalog_single", "why_trino", "new_field"))


SECTIONS: Mapping[str, tuple[Callable[[Slide], None], ...]] = {
    "Introduction": (opening, one_question),
    "Storyline and scenario": (boxes, night_before, night_after),
    "Problem statement": (all_green, promises),
    "Solutions overview": (criteria, engines, stores),
    "Chosen data pipeline architecture": (pipeline, reasons, verdict, faults, scale, speed, layout, monitoring),
    "Pros and cons": (pros_and_cons,),
    "Improvement and future work": (future,),
    "The DataOps team": (roles, responsibilities),
    "Live demo script": (demo_console, demo),
    "Appendix: Q&A": (answers_product, answers_pipeline, answers_storage),
}
"""The sections in order, each with the functions that draw its slides."""
