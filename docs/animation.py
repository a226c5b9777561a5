"""Draw the incident that comes with the console as an animation: docs/images/incident.gif (`make animation`).

The frames are the console's own, replaying a real recording, so they change only where the console does.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import resvg_py
from PIL import Image

from dataops_core.recorder.recording import Recording
from dataops_tui.app import DataopsApp
from dataops_tui.replay import SHIPPED, Replay, settings_of

TARGET = Path(__file__).parent / "images" / "incident.gif"
SIZE = (132, 34)
"""Columns and rows."""
WIDTH = 1100
"""Pixels."""
PER_MINUTE = 4_000
"""Milliseconds that a minute of the incident lasts in the animation."""
STILL = 3_000
"""Milliseconds that the last frame stays."""
FONTS = Path(mpl.get_data_path()) / "fonts" / "ttf"


async def frames(recording: Recording) -> AsyncIterator[str]:
    """Yield what the console shows of each look of a recording, as SVG; by the keys of its user."""
    app = DataopsApp(settings_of(recording), None, lambda: Replay(recording))
    last = len(recording.moments()) - 1
    async with app.run_test(size=SIZE, notifications=True) as pilot:

        async def at(index: int) -> None:
            async with asyncio.timeout(30):
                while app.shown_past is None or app.shown_past.index != index:
                    await pilot.pause(0.02)
            await pilot.pause()

        await at(0)
        for index in range(last + 1):
            await at(index)
            yield app.export_screenshot(title="dataops-tui")
            if index < last:
                await pilot.press("right_square_bracket")


def drawn(svg: str) -> Image.Image:
    """Return the picture, with a font that is the same on each machine."""
    png = resvg_py.svg_to_bytes(
        svg_string=svg.replace("Fira Code", "DejaVu Sans Mono"),
        width=WIDTH,
        skip_system_fonts=True,
        font_dirs=[str(FONTS)],
        monospace_family="DejaVu Sans Mono",
        sans_serif_family="DejaVu Sans",
    )
    return Image.open(io.BytesIO(bytes(png))).convert("RGB")


def write(pictures: list[Image.Image], pauses: list[int], target: Path) -> None:
    """Write an animation in which all frames share one palette, so that nothing flickers."""
    sample = Image.new("RGB", (WIDTH, pictures[0].height * 3))
    for number, picture in enumerate((pictures[0], pictures[len(pictures) // 2], pictures[-1])):
        sample.paste(picture, (0, number * picture.height))
    palette = sample.quantize(64)
    first, *others = (picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures)
    first.save(target, save_all=True, append_images=others, duration=pauses, loop=0, optimize=True)


async def main() -> None:
    """Draw it."""
    recording = Recording(SHIPPED)
    pictures = [drawn(svg) async for svg in frames(recording)]
    times = [moment.at for moment in recording.moments()]
    pauses = [max(20, int((b - a) / timedelta(minutes=1) * PER_MINUTE)) for a, b in pairwise(times)]
    write(pictures, [*pauses, STILL], TARGET)
    print(f"{TARGET}: {len(pictures)} frames, {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    asyncio.run(main())
