"""`clips.jsonl`: what became of every input, one line each; and the journal that a killed run leaves."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, TextIO

from pydantic import BaseModel, ConfigDict

from ..errors import ModalityInterferenceError
from ..files import write_text
from ..messages import explain


MANIFEST = "clips.jsonl"
JOURNAL = "clips.partial.jsonl"


class ClipRecord(BaseModel):
    """A line of `clips.jsonl`.

    Attributes:
        source: the input's path in the input folder, with slashes.
        status: whether there is a clip.
        reason: why it was skipped.
        video: the prepared MP4, relative to the folder of `clips.jsonl`.
        audio: the prepared WAV, likewise.
        seconds: length of both.
        frames: of the MP4.
        visual_label: the class that is seen.
        audio_label: the class that is heard.
        fingerprint: of the input and of the settings; see `prepare.fingerprint`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    status: Literal["ok", "skipped"]
    reason: str | None = None
    video: str | None = None
    audio: str | None = None
    seconds: float | None = None
    frames: int | None = None
    visual_label: str | None = None
    audio_label: str | None = None
    fingerprint: str = ""


def read_manifest(path: Path) -> list[tuple[int, ClipRecord]]:
    """Read `clips.jsonl`.

    Returns:
        The records with their line numbers.

    Raises:
        ModalityInterferenceError: it cannot be read, or a line is not what `clips prepare` writes.
    """
    records = []
    for number, line in _lines(path):
        try:
            records.append((number, ClipRecord.model_validate(json.loads(line))))
        except (ValueError, RecursionError) as error:
            raise ModalityInterferenceError(
                f"{path}, line {number} is not what `modality-interference clips prepare` writes "
                f"({explain(error, ClipRecord)}). Remove the file, and run that again."
            ) from error

    return records


def write_manifest(path: Path, records: Iterable[ClipRecord]) -> None:
    """Write `clips.jsonl`, at once or not at all.

    Raises:
        ModalityInterferenceError: the folder cannot be written.
    """
    write_text(path, "".join(_line(record) for record in records))


def read_journal(path: Path) -> Iterator[ClipRecord]:
    """The records of a run that was killed; a last line that it could not finish is left out."""
    if path.exists():
        for _, line in _lines(path):
            try:
                yield ClipRecord.model_validate(json.loads(line))
            except (ValueError, RecursionError):
                continue


def open_journal(path: Path) -> TextIO:
    """The journal, to append to; behind a line that a killed run could not finish, a new one is begun."""
    journal = path.open("a", encoding="utf-8")
    if journal.tell():
        journal.write("\n")

    return journal


def append(journal: TextIO, record: ClipRecord) -> None:
    """Add a record to the journal, so that it survives whatever happens next."""
    journal.write(_line(record))
    journal.flush()


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ModalityInterferenceError(
            f"cannot read {path}: {error.strerror}. Name the `{MANIFEST}` that `modality-interference clips prepare` "
            "writes into its output folder."
        ) from error
    except UnicodeDecodeError as error:
        raise ModalityInterferenceError(
            f"{path} is not UTF-8 text (byte {error.start:,}). Remove it, and run `modality-interference clips "
            "prepare` again."
        ) from error

    return ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())


def _line(record: ClipRecord) -> str:
    return json.dumps(record.model_dump(exclude_none=True), ensure_ascii=False) + "\n"
