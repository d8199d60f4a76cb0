"""What the subcommands' arguments have in common."""

import argparse
import os
from pathlib import Path
from typing import Any

from ..errors import ModalityInterferenceError


def add_command(commands: Any, name: str, description: str, examples: str) -> argparse.ArgumentParser:
    """Add a subcommand whose help ends with examples.

    Args:
        commands: what `add_subparsers` returned.
        name: of the subcommand.
        description: a sentence or more; the first one is its line in the list of subcommands.
        examples: command lines, indented by two.
    """
    return commands.add_parser(
        name,
        help=description.split(". ")[0].rstrip("."),
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=_Formatter,
    )


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Wraps the description, but leaves the examples' lines alone."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return super()._fill_text(text, width, indent)

        return argparse.HelpFormatter._fill_text(self, text, width, indent)


def count(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")

    return number


def recipe_folder(name: str) -> Path:
    """The folder of a recipe.

    Raises:
        ModalityInterferenceError: there is no such folder.
    """
    folder = Path(name)
    if not folder.is_dir():
        raise ModalityInterferenceError(
            f"`{name}` is no folder. Name a recipe, that is, a folder with a dataset_info.json (LLaMA-Factory's "
            "`dataset_dir`)."
        )

    return folder.resolve()


def stay_offline() -> None:
    """Keep the hub's libraries off the network; to be called before they are imported."""
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
