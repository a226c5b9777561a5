"""`dataops-tui`: start the console."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from dataops_core.config import context_of, find_config
from dataops_core.error_log import INTERNAL_ERROR, catch_unexpected, log_error
from dataops_core.errors import DataopsError
from dataops_core.gc_tuning import exclude_modules, tune_for_console
from dataops_core.narration import guard_stderr, narrate
from dataops_core.process_exit import end_process
from dataops_core.recorder.recording import Recording
from dataops_core.systems.registry import load_settings
from dataops_core.times import show_times_in
from dataops_core.version import version
from dataops_tui.charset import has_utf8
from dataops_tui.keys import check_keys
from dataops_tui.leaving import Departure
from dataops_tui.replay import SHIPPED, Replay, settings_of
from dataops_tui.web import serve

if TYPE_CHECKING:
    from dataops_tui.app import DataopsApp
    from dataops_tui.watching import Watching

SWITCH = 0.0005
"""Thread switch interval in seconds. A short one lets the console draw while another thread fetches rows."""
USAGE = 2
"""Exit code of invalid usage or settings."""
INTERRUPTED = 130
SIGNALLED = 128
"""Exit codes above it are 128 + the number of the signal that stopped the console."""

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"dataops-tui {version()}\n")
        raise typer.Exit


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def console(
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=(
                "Settings file. Default: $DATAOPS_CONFIG, else ./dataops.toml, else the file in the user's"
                " configuration folder."
            ),
        ),
    ] = None,
    context: Annotated[
        str | None, typer.Option(metavar="NAME", help="Context to use. Default: the default context of the settings.")
    ] = None,
    replay: Annotated[
        bool,
        typer.Option("--replay", help="Replay a recording: FILE, or the example incident that comes with the program."),
    ] = False,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="The recording to replay.")] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse all actions that make changes.")] = False,
    web: Annotated[
        bool,
        typer.Option("--web", help="Serve the console to a web browser on this machine, read-only unless --writable."),
    ] = False,
    port: Annotated[int, typer.Option(metavar="PORT", help="Port of --web.")] = 8000,
    public_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Public URL of an authenticating proxy in front of --web.")
    ] = None,
    writable: Annotated[bool, typer.Option("--writable", help="Allow actions in --web, as in the terminal.")] = False,
    show_version: Annotated[  # noqa: ARG001 - its callback does it
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Where is the data stuck, and since when? The console for a whole data platform.

    Exit codes: 0 quit, 2 invalid usage, settings or recording, 70 internal error, 128 + N stopped by signal N.
    """
    if replay:
        recording = Recording(file or SHIPPED)
        settings, name = settings_of(recording), recording.context
    elif file is not None:
        raise typer.BadParameter(f"{file} needs --replay: dataops-tui --replay {file}")
    else:
        settings = load_settings(find_config(config))
        name, _ = context_of(settings, context)
        check_keys(settings.console.keys)
    show_times_in(settings.console.time_zone)
    if web:
        mode = [] if writable and not read_only else ["--read-only"]
        source = ["--replay", str(file)] if file else ["--replay"] if replay else ["--config", str(find_config(config))]
        serve([*source, *([] if replay else ["--context", name]), *mode], port, public_url)
        return
    # Textual draws on standard error. For a web browser it uses a separate driver and no terminal.
    if not (sys.stdin.isatty() and sys.stderr.isatty()) and not os.environ.get("TEXTUAL_DRIVER"):
        raise typer.BadParameter("there is no terminal; run `dataops probe` instead, or use --web")
    from dataops_tui.app import DataopsApp  # noqa: PLC0415 - report invalid settings before the import of Textual

    if read_only:
        contexts = {key: result.model_copy(update={"read_only": True}) for key, result in settings.contexts.items()}
        settings = settings.model_copy(update={"contexts": contexts})

    def watch(context: str) -> Watching:
        if replay:
            return Replay(recording)
        from dataops_core.recorder.recorded import RecordedMonitor  # noqa: PLC0415 - draw the console before this import

        monitor = RecordedMonitor(settings, context)
        exclude_modules()
        return monitor

    tune_for_console()
    sys.setswitchinterval(SWITCH)
    in_browser = bool(os.environ.get("TEXTUAL_DRIVER"))
    running = DataopsApp(
        settings,
        name,
        lambda: watch(name),
        watch_other=None if replay else watch,
        utf8=in_browser or has_utf8(),
    )
    _run(running, in_browser=in_browser)


def _run(running: DataopsApp, *, in_browser: bool) -> None:
    if not in_browser:
        from dataops_tui.terminal_driver import TerminalDriver  # noqa: PLC0415 - it imports Textual

        running.driver_class = TerminalDriver
    with catch_unexpected(partial(running.call_later, running.show_fault)), Departure(running, _say).watch():
        running.run()
    for line in running.faults:
        _say(line)
    if running.return_code:
        signalled = running.return_code > SIGNALLED
        raise typer.Exit(INTERNAL_ERROR if running.faults and not signalled else running.return_code)


def _say(line: str) -> None:
    narrate(f"dataops-tui: {line}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the console and return the exit code; print each error as one line on standard error."""
    try:
        return int(app(arguments, standalone_mode=False, prog_name="dataops-tui") or 0)
    except typer.TyperException as error:
        _say(f"{error.format_message()} (see dataops-tui --help)")
    except DataopsError as error:
        _say(str(error))
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last line of defence
        _say(log_error(error, "dataops-tui"))
        return INTERNAL_ERROR
    return USAGE


def run() -> NoReturn:
    """Run the console, and exit the process with its exit code."""
    guard_stderr()
    end_process(main())


if __name__ == "__main__":
    run()
