"""The files that every export has: `suite.json` says what the suite is, `suite_rows.jsonl` what its answers are scored by."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError

from .. import __version__
from ..errors import ModalityInterferenceError
from ..files import read_text, write_bytes, write_text
from ..messages import explain, shown
from ..results import Result
from .rows import Suite, SuiteRow


SUITE_FILE = "suite.json"
ROWS_FILE = "suite_rows.jsonl"
_SCHEMA = 1
_MAX_JSON_BYTES = 1_000_000
_MAX_ROWS_BYTES = 4_000_000_000
Model = TypeVar("Model", bound=Result)


class SuiteInfo(Result):
    """All of `suite.json`.

    Attributes:
        schema_version: of both files.
        name: of the dataset.
        seed: of the twins.
        version: of this package, which made them.
        format: what was exported: `hf`, `lmms-eval` or `vlmevalkit`.
        perturbations: how many questions, by label, `clean` first.
        dropped: why rows and twins are left out, and how many.
        license: of the data, as its publisher says; `unknown` where nobody said it.
    """

    schema_version: int = _SCHEMA
    name: str
    seed: int
    version: str
    format: str
    perturbations: dict[str, int] = Field(min_length=1)
    dropped: dict[str, int] = {}
    license: str


def info_of(suite: Suite, format: str, license: str) -> SuiteInfo:
    """What `suite.json` says of a suite."""
    labels = [asked.row.perturbation for asked in suite.asked]
    return SuiteInfo(
        name=suite.name,
        seed=suite.seed,
        version=__version__,
        format=format,
        perturbations={label: labels.count(label) for label in suite.perturbations},
        dropped=dict(sorted(suite.dropped.items())),
        license=license,
    )


def write_suite(folder: Path, suite: Suite, info: SuiteInfo, files: Mapping[str, bytes | str]) -> None:
    """Write an export; `suite.json`, by which it is known, comes last.

    Args:
        folder: a new or an empty one.
        suite: its questions.
        info: what `suite.json` says.
        files: the other files, by path in the folder.

    Raises:
        ModalityInterferenceError: the folder cannot be written.
    """
    for name in sorted(files):
        content = files[name]
        write_bytes(folder / name, content.encode() if isinstance(content, str) else content)

    rows = (asked.row.model_dump_json(exclude_none=True) for asked in suite.asked)
    write_text(folder / ROWS_FILE, "".join(f"{row}\n" for row in rows))
    write_text(folder / SUITE_FILE, info.model_dump_json(indent=2) + "\n")


def read_suite(folder: Path) -> tuple[SuiteInfo, list[SuiteRow]]:
    """Read what an export says of itself, as untrusted.

    Raises:
        ModalityInterferenceError: there is no suite, or its files are not what an export writes; names file and line.
    """
    info = _parsed(SuiteInfo, _read(folder, SUITE_FILE, _MAX_JSON_BYTES), str(folder / SUITE_FILE))
    if info.schema_version != _SCHEMA:
        raise ModalityInterferenceError(
            f"{folder / SUITE_FILE} has schema version {shown(info.schema_version)}, and this release reads version {_SCHEMA}. "
            "Export the suite again, or score it with the release that made it."
        )

    lines = enumerate(_read(folder, ROWS_FILE, _MAX_ROWS_BYTES).split("\n"), start=1)
    path = folder / ROWS_FILE
    return info, [_parsed(SuiteRow, line, f"{path}, line {number}") for number, line in lines if line.strip()]


def _read(folder: Path, name: str, limit: int) -> str:
    try:
        return read_text(folder, name, limit)
    except ModalityInterferenceError as error:
        raise ModalityInterferenceError(
            f"cannot read {folder / name}: {error}. `modality-interference suite export` writes it: name the folder of its "
            "`-o` as `--suite`."
        ) from error


def _parsed(model: type[Model], text: str, where: str) -> Model:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        why = explain(error, model)[:300]
        raise ModalityInterferenceError(
            f"{where} is not what an export writes ({why}). Export the suite again."
        ) from error
