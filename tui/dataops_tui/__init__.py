"""The terminal console: shows health snapshots and sends actions; all data comes from `dataops_core`."""

import os

# A key is drawn with the next frame: at Textual's own 60 a second it waits up to 17 ms for that, of the 50 it may take.
os.environ.setdefault("TEXTUAL_FPS", "120")
