"""The app in our themes; a source of its style sheet is parsed once for each theme."""

from __future__ import annotations

from textual.app import App
from textual.css.stylesheet import Stylesheet

from dataops_tui.themes import ANSI_DARK, ANSI_LIGHT, THEMES


class ParsedOnce(Stylesheet):
    """Keeps the rules of a source until a variable of the theme changes.

    Textual 8 sets the same variables and parses all sources again for each screen that is opened for the first time.
    """

    def set_variables(self, variables: dict[str, str]) -> None:
        """Set the variables of the theme. If one has changed, all sources are parsed again."""
        if variables != self._variables:
            super().set_variables(variables)

    def reparse(self) -> None:
        """Parse the sources that are new since the variables were set.

        Raises:
            StylesheetParseError: A source is invalid.
        """
        self.parse()


class Themed(App[None]):
    """Has our themes, and can change between them."""

    def __init__(self) -> None:
        super().__init__()
        self.stylesheet = ParsedOnce(variables=self.get_css_variables())
        for theme in THEMES:
            self.register_theme(theme)
        self.ansi_theme_dark, self.ansi_theme_light = ANSI_DARK, ANSI_LIGHT

    def choose_theme(self, name: str) -> None:
        """Change to the theme of a name, or report that it does not exist."""
        if name in (names := [theme.name for theme in THEMES]):
            self.theme = name
        else:
            self.notify(f'no such theme: "{name}"; available: {", ".join(names)}', severity="error", markup=False)
