"""Parse the command line and run a subcommand."""

import argparse
import os
import sys
from collections.abc import Sequence

from .. import __version__
from ..errors import ModalityInterferenceError
from . import check, clips, preview, report
from .terminal import printable


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments; None for the process's.

    Returns:
        0 where all is well, 1 where there are problems. Wrong usage exits with 2, as argparse does.
    """
    arguments = _parser().parse_args(argv)
    try:
        status = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ModalityInterferenceError as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="modality-interference",
        description="Look at recipes and at diagnoses of modality interference. Training and diagnosing themselves are "
        "`llamafactory-cli train` with `plugin: modality_interference`.",
        epilog="`modality-interference COMMAND --help` shows a command's options and examples.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (report, preview, check, clips):
        command.add_parser(commands)

    return parser
