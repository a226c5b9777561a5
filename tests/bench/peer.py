"""The least that a Textual app can be and still have what the console's keys are measured on: its peer."""

from textual.app import App, ComposeResult
from textual.screen import ModalScreen
from textual.widgets import DataTable, Input


class Prompt(ModalScreen[None]):
    BINDINGS = [("escape", "dismiss(None)", "Close")]

    def compose(self) -> ComposeResult:
        yield Input(placeholder="prompt of the peer")


class Peer(App[None]):
    CSS = "DataTable { height: 1fr; }"
    BINDINGS = [("colon", "ask", "Ask"), ("slash", "type", "Type")]

    def compose(self) -> ComposeResult:
        yield Input(placeholder="line of the peer")
        yield DataTable(cursor_type="row")

    def on_mount(self) -> None:
        table: DataTable[str] = self.query_one(DataTable)
        table.add_columns("NAME", "B", "C", "D", "E")
        for number in range(1000):
            table.add_row(f"row-{number:04}", "10", "200", "30 s ago", "in sync")
        table.focus()

    def action_ask(self) -> None:
        self.push_screen(Prompt())

    def action_type(self) -> None:
        self.query_one(Input).focus()


if __name__ == "__main__":
    Peer().run()
