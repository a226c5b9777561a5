"""Export of rows: prompt for a file, write it, report the progress."""

from __future__ import annotations

from pathlib import Path

from textual.widget import Widget

from dataops_core.sql.export import FORMATS, ExportRefused, export, export_path
from dataops_core.sql.results import Result
from dataops_core.units import count
from dataops_tui.background import in_background
from dataops_tui.dialogs.pick import Answer, InputDialog
from dataops_tui.query_messages import ExportProgress


def export_rows(owner: Widget, result: Result) -> None:
    """Prompt for a file and write the rows to it; post `ExportProgress` or `WorkFailed` to the owner."""

    def check(text: str) -> tuple[str, bool]:
        try:
            return "", export_path(text).exists()
        except ExportRefused as problem:
            return str(problem), False

    def chosen(answer: Answer | None) -> None:
        if answer is not None:
            _export(owner, result, export_path(answer.text), overwrite=answer.replace)

    title = f"Export {count(len(result))} rows to a file ({', '.join(FORMATS)})"
    owner.app.push_screen(InputDialog(title, "rows.csv", check), chosen)


def _export(owner: Widget, result: Result, path: Path, *, overwrite: bool) -> None:
    def progress(rows: int) -> None:
        owner.post_message(ExportProgress(str(path), rows))

    def work() -> None:
        rows = export(path, result.columns, result.chunks(), overwrite=overwrite, on_rows=progress)
        owner.post_message(ExportProgress(str(path), rows, done=True))

    in_background(owner, "exporting", work)
