"""`modality-interference clips`: prepare clips with sound, and pair them into a benchmark of conflicts."""

from typing import Any

from . import clips_pair, clips_prepare
from .arguments import add_command


EXAMPLES = """\
  modality-interference clips prepare downloads clips
  modality-interference clips pair clips/clips.jsonl"""


def add_parser(commands: Any) -> None:
    """Add the subcommand and its own subcommands."""
    parser = add_command(
        commands,
        "clips",
        "Prepare clips with sound, and pair them into a benchmark. `clips prepare` cuts videos down to what models "
        "take; `clips pair` gives every clip a partner of another class, whose sound or picture contradicts it.",
        EXAMPLES,
    )
    subcommands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (clips_prepare, clips_pair):
        command.add_parser(subcommands)
