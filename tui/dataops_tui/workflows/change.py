"""The common part of all actions: confirm, act through the policy, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dataops_tui.background import in_background
from dataops_tui.console import Console
from dataops_tui.dialogs.confirm import ConfirmDialog
from dataops_tui.messages import Changed


def change(console: Console, title: str, preview: Sequence[str], do: Callable[[str | None], str]) -> None:
    """Run an action after confirmation.

    Args:
        console: The console.
        title: The action.
        preview: The exact calls, a line each.
        do: Runs the action, in the background; gets the confirmation word, and returns the change in one line.
    """
    word = console.policy.confirmation()

    def go(typed: str | None) -> None:
        def work() -> None:
            console.post_message(Changed(do(typed)))

        in_background(console, title, work)

    if word is None:
        go(None)  # the policy refuses, and audits it
    else:
        dialog = ConfirmDialog(f'{title} in the context "{console.context_name}"', preview, word)
        console.push_screen(dialog, lambda typed: go(typed) if typed is not None else None)


def changed(console: Console, message: Changed) -> None:
    """Report a change, and refresh the screens."""
    console.notify(message.what, markup=False)
    console.reload()
