"""The active keys, in one line at the bottom.

This is one widget. Textual's `Footer` has a widget for each key and mounts all of them again when the focus changes:
five tests of the SQL screen took 20.3 and 21.8 s of CPU with it, and 14.3 and 14.7 s with this one.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.screen import Screen
from textual.widget import Widget


@dataclass(frozen=True)
class Hint:
    """An active key.

    Attributes:
        key: Textual's name of the key.
        text: The key as shown.
        description: Label of the binding.
        enabled: Whether the action is available now.
    """

    key: str
    text: str
    description: str
    enabled: bool

    @property
    def width(self) -> int:
        """Width in columns, including the padding."""
        return cell_len(self.text) + cell_len(self.description) + 3


class KeyHints(Widget, can_focus=False):
    """The keys of the current screen and focus; a click on a key presses it."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES = {"key-hints--key", "key-hints--description", "key-hints--disabled"}
    DEFAULT_CSS = """
    KeyHints { dock: bottom; height: 1; text-wrap: nowrap; background: $panel; }
    KeyHints > .key-hints--key { color: $footer-key-foreground; text-style: bold; }
    KeyHints > .key-hints--description { color: $footer-description-foreground; }
    KeyHints > .key-hints--disabled { text-style: dim; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._hints: tuple[Hint, ...] = ()

    def on_mount(self) -> None:
        """Subscribe to changes of the screen's bindings."""
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def render(self) -> Text:
        """Return each key with its label."""
        line = Text(no_wrap=True)
        for hint in self._hints:
            start = len(line)
            line.append(f" {hint.text} ", self.get_component_rich_style("key-hints--key"))
            line.append(f"{hint.description} ", self.get_component_rich_style("key-hints--description"))
            if not hint.enabled:
                line.stylize(self.get_component_rich_style("key-hints--disabled", partial=True), start)
        return line

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Press the key that is clicked."""
        left = event.x
        for hint in self._hints:
            if left < hint.width:
                if hint.enabled:
                    self.app.simulate_key(hint.key)
                return
            left -= hint.width

    def _bindings_changed(self, screen: Screen[object]) -> None:
        if screen is self.screen and self.app.app_focus:
            self.call_after_refresh(self._update, screen)

    def _update(self, screen: Screen[object]) -> None:
        if not self.is_attached:
            return
        results: dict[str, Hint] = {}
        for _, binding, enabled, _ in screen.active_bindings.values():
            if binding.show and binding.action not in results:
                text = self.app.get_key_display(binding)
                results[binding.action] = Hint(binding.key, text, binding.description, enabled)
        hints = tuple(results.values())
        if hints != self._hints:
            self._hints = hints
            self.refresh()
