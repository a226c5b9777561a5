"""Every parser of outside data against random inputs, within a time budget: `make fuzz`."""

from __future__ import annotations

import argparse
import copy
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.hostile.mutations import ODD, paths
from tests.hostile.parsers import PARSERS, check
from tests.hostile.texts import TEXTS, check_text

SLOW = 2.0
"""Seconds of CPU that one input may take."""
PIECES = (
    b"[" * 300, b"{" * 300, b'"', b"\\", b"\x00", b"\xff\xff\xff\xff\x7f", b"-", b"9" * 400, b"1e999", b"NaN", b"\n",
    b"v3\n", b"\xed\xa0\x80", b"\\ud800", b"null", b"{}", b"[]", b",", b":",
)  # fmt: skip
"""What is put into bytes."""


@dataclass
class Tally:
    """How the inputs of one parser went."""

    tried: int = 0
    read: int = 0
    slowest: float = 0.0
    slow: int = 0
    failures: dict[str, str] = field(default_factory=dict)


def value_like(samples: tuple[Any, ...], rng: random.Random) -> Any:
    """Return a sample with a few of its values replaced, removed, repeated or moved."""
    found = copy.deepcopy(rng.choice(samples))
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        path = rng.choice([*paths(found)])
        if not path:
            if rng.random() < 0.02:
                return copy.deepcopy(rng.choice(ODD))
            continue
        place = found
        for key in path[:-1]:
            place = place[key]
        match rng.randrange(5):
            case 0:
                del place[path[-1]]
            case 1 if isinstance(place, list):
                place.insert(path[-1], copy.deepcopy(place[path[-1]]))
            case 2:
                inner = rng.choice([*paths(found)])
                value = found
                for key in inner:
                    value = value[key]
                place[path[-1]] = copy.deepcopy(value)
            case _:
                place[path[-1]] = copy.deepcopy(rng.choice(ODD))
    return found


def bytes_like(samples: tuple[bytes, ...], rng: random.Random) -> bytes:
    """Return a sample with a few of its bytes changed, removed, repeated or put in."""
    data = bytearray(rng.choice(samples))
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0 if at < len(data):
                data[at] = rng.randrange(256)
            case 1:
                del data[at : at + rng.choice((1, 1, 2, 8, 64))]
            case 2:
                data[at:at] = data[at : at + rng.choice((1, 4, 16, 64))] * rng.choice((1, 2, 20))
            case 3:
                data[at:at] = rng.choice(PIECES)
            case 4:
                data[at:at] = rng.randbytes(rng.choice((1, 2, 9)))
            case _:
                del data[at:]
                data += rng.choice(samples)[at:]
    return bytes(data)


def targets() -> Iterator[tuple[str, Callable[[random.Random], Any], Callable[[Any], bool]]]:
    """Yield name, source of inputs and reader of each parser."""
    for name, parser in PARSERS.items():
        yield name, partial(value_like, parser.samples), partial(check, parser)
    for name, text_parser in TEXTS.items():
        yield name, partial(bytes_like, text_parser.samples), partial(check_text, text_parser)


def fuzz(make: Callable[[random.Random], Any], read: Callable[[Any], bool], seconds: float, seed: int) -> Tally:
    """Let a parser read random inputs for some seconds."""
    tally, rng, end = Tally(), random.Random(seed), time.monotonic() + seconds
    while time.monotonic() < end:
        found = make(rng)
        began = time.process_time()
        tally.tried += 1
        try:
            tally.read += read(found)
        except Exception as error:  # noqa: BLE001 - which ones there are is what is looked for
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} at {frame.filename}:{frame.lineno}"
            tally.failures.setdefault(where, f"{error!s:.200} for {found!r:.1000}")
        took = time.process_time() - began
        tally.slowest = max(tally.slowest, took)
        tally.slow += took > SLOW
    return tally


def main() -> int:
    """Fuzz every parser, write how it went, and return 1 where one fails or is slow."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--minutes", type=float, default=60.0, help="time for all parsers together")
    arguments.add_argument("--seed", type=int, default=time.time_ns() % 2**32, help="what the inputs are made from")
    given = arguments.parse_args()
    every = [*targets()]
    sys.stdout.write(
        f"seed {given.seed}\n{'parser':28}{'inputs':>12}{'read':>12}{'slowest':>10}{'slow':>6}{'tracebacks':>12}\n"
    )
    total, bad = 0, 0
    for number, (name, make, read) in enumerate(every):
        tally = fuzz(make, read, given.minutes * 60 / len(every), given.seed + number)
        total += tally.tried
        bad += len(tally.failures) + tally.slow
        counts = f"{tally.tried:12,}{tally.read:12,}{tally.slowest:9.3f}s{tally.slow:6}{len(tally.failures):12}"
        sys.stdout.write(f"{name:28}{counts}\n")
        for where, what in tally.failures.items():
            sys.stdout.write(f"    {where}: {what}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{total:,} inputs in {len(every)} parsers\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
