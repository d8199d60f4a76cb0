"""Parse the command line and run a subcommand."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from .. import __version__
from ..errors import ModalityInterferenceError
from ..printable import printable
from . import check, clips, diagnose, init, listing, pairs, preview, report, schema, suite
from .terminal import escape_unencodable


_NAME = "modality-interference"
_INTERRUPTED = 130  # as shells have it
# The class of all wrong usage: click's own in typer below 0.26, typer's copy of it since. Neither exports it.
_UsageError: Any = typer.BadParameter.__base__


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments; None for those of the process.

    Returns:
        The exit code: 0 where all is well, 1 where there are problems, 2 for wrong usage, 130 after Ctrl-C.
    """
    escape_unencodable()
    try:
        status = app(None if argv is None else list(argv), prog_name=_NAME, standalone_mode=False)
        sys.stdout.flush()
        return status or 0
    except BrokenPipeError:  # the reader, `head` for instance, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except ModalityInterferenceError as error:
        _print_error(str(error))
        return 1
    except _UsageError as error:
        if error.ctx is not None:
            print(error.ctx.get_usage(), file=sys.stderr)

        command = error.ctx.command_path if error.ctx is not None else _NAME
        _print_error(f"{error.format_message().rstrip('.')}. `{command} --help` shows what is allowed.")
        return 2


def _print_error(message: str) -> None:
    print(printable(f"error: {message}"), file=sys.stderr)


def _group(description: str) -> typer.Typer:
    """A group of commands. Its help is plain text: rich's panels would double the time that `--help` takes."""
    return typer.Typer(
        help=description,
        epilog=f"`{_NAME} COMMAND --help` shows a command's options and examples.",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def _add(group: typer.Typer, name: str, run: Callable[..., int], description: str, examples: str) -> None:
    """Add a command whose help ends with examples, one a line."""
    lines = "\n".join(f"  {line}" for line in examples.splitlines())
    epilog = f"\b\nExamples:\n{lines}"
    group.command(name, help=description, short_help=_summary(description), epilog=epilog)(run)


def _summary(description: str) -> str:
    """A command's line in the list of commands: how its description starts. Typer's own is cut off after some words."""
    return re.split(r"[.:]\s", description.removesuffix("."))[0] + "."


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"{_NAME} {__version__}")
        raise typer.Exit()


app = _group(
    "Find out whether a multimodal model's answers change because of inputs that should not matter. `diagnose` measures "
    "it; training against it is `llamafactory-cli train` with `plugin: modality_interference`."
)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


_clips = _group(clips.DESCRIPTION)
_add(app, "diagnose", diagnose.run, diagnose.DESCRIPTION, diagnose.EXAMPLES)
_add(app, "init", init.run, init.DESCRIPTION, init.EXAMPLES)
_add(app, "report", report.run, report.DESCRIPTION, report.EXAMPLES)
_add(app, "pairs", pairs.run, pairs.DESCRIPTION, pairs.EXAMPLES)
_add(app, "preview", preview.run, preview.DESCRIPTION, preview.EXAMPLES)
_add(app, "check", check.run, check.DESCRIPTION, check.EXAMPLES)
_add(app, "list", listing.run, listing.DESCRIPTION, listing.EXAMPLES)
_add(app, "schema", schema.run, schema.DESCRIPTION, schema.EXAMPLES)
_add(_clips, "prepare", clips.prepare, clips.PREPARE_DESCRIPTION, clips.PREPARE_EXAMPLES)
_add(_clips, "pair", clips.pair, clips.PAIR_DESCRIPTION, clips.PAIR_EXAMPLES)
app.add_typer(_clips, name="clips", short_help=_summary(clips.DESCRIPTION))
_suite = _group(suite.DESCRIPTION)
_add(_suite, "export", suite.export, suite.EXPORT_DESCRIPTION, suite.EXPORT_EXAMPLES)
_add(_suite, "score", suite.score, suite.SCORE_DESCRIPTION, suite.SCORE_EXAMPLES)
app.add_typer(_suite, name="suite", short_help=_summary(suite.DESCRIPTION))
