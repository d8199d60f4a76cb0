"""`modality-interference schema`: a JSON Schema of dataset_info.json, for editors."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ..printable import printable
from .terminal import say


DESCRIPTION = """\
Write a JSON Schema of dataset_info.json and its `twins` blocks, with the formats and perturbations of installed
extensions. An editor that knows it completes keys and names, shows what they do, and marks mistakes."""
EXAMPLES = """\
modality-interference schema -o .vscode/dataset_info.schema.json
modality-interference schema"""


def run(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="The file.", show_default="print it")
    ] = None,
) -> int:
    """Write the schema, or print it."""
    from ..dataset_dir.json_schema import info_schema
    from ..files import write_text
    from ..integration.extensions import known_formats

    text = json.dumps(info_schema(known_formats()), indent=2)
    if output is None:
        print(text)
        return 0

    write_text(output, text + "\n")
    say(f"The schema: {printable(str(output.resolve()))}")
    return 0
