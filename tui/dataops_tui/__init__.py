"""The terminal console: shows health snapshots and sends actions; all data comes from `dataops_core`."""

import os

# A key press is drawn with the next frame. Textual's default of 60 frames a second adds up to 17 ms to a budget of 50.
os.environ.setdefault("TEXTUAL_FPS", "120")
