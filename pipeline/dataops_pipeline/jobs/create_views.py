"""Create the quality officer's views in `gold` from `pipeline/dataops_pipeline/sql`, once their tables exist."""

from __future__ import annotations

from dataops_pipeline.jobs.runner import log, run
from dataops_pipeline.settings import JobSettings, NotYet
from dataops_pipeline.trino_sql import connect
from dataops_pipeline.views import create_all


def create(settings: JobSettings) -> str:
    """Create the views; return a summary."""
    created = create_all(connect(settings, timeout=60))
    for name, why in created.waiting.items():
        log.info("%s waits: %s", name, why)
    if not created.created and not created.unchanged:
        raise NotYet("none of the tables that the views read exists yet")
    done = f"{len(created.created)} views created, {len(created.unchanged)} unchanged"
    return done + (f", {len(created.waiting)} wait for their tables" if created.waiting else "")


if __name__ == "__main__":
    run(create)
