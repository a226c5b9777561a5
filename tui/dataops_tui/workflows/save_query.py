"""Saving the editor's text as a query: prompt for a name, save, report."""

from __future__ import annotations

from collections.abc import Callable

from textual.widget import Widget

from dataops_core.sql.library import LibraryFailed, SavedQueries
from dataops_tui.dialogs.pick import Answer, InputDialog


def save_query(owner: Widget, saved: SavedQueries, text: str, report: Callable[[str, str], object]) -> None:
    """Prompt for a name and save a text under it; `report` gets a line and its style."""

    def check(name: str) -> tuple[str, bool]:
        try:
            return "", saved.path_of(name).exists()
        except LibraryFailed as problem:
            return str(problem), False

    def chosen(answer: Answer | None) -> None:
        if answer is None:
            return
        try:
            path = saved.save(answer.text, text, overwrite=answer.replace)
        except LibraryFailed as problem:
            report(str(problem), "red")
        else:
            report(f"saved as {path}", "green")

    if text.strip():
        owner.app.push_screen(InputDialog(f"Save the text as a query in {saved.own}", "", check), chosen)
    else:
        report("nothing to save", "red")
