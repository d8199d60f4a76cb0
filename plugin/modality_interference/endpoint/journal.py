"""The journal of a run against a server: every answer on disk as soon as it is known, so that none is asked for twice.

A JSON object a line. The first says what was asked of whom; each other one is an answer, or how the server wants to be asked. A line is
written at once, and synchronized, before the next request takes its place. A process that is killed can leave one line without an end,
which the next one removes.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from ..errors import ModalityInterferenceError
from .reply import Answer


JOURNAL_FILE = "endpoint_journal.jsonl"
LAYOUT = 1  # of the lines
Place = tuple[str, int, str]  # dataset, row, perturbation


class JournalError(ModalityInterferenceError):
    """A journal that cannot be continued."""


class Lines(NamedTuple):
    """What the complete lines of a journal say.

    Attributes:
        identity: what was asked of whom; None where there is no line yet.
        manner: how the server wants to be asked; empty where that is not known yet.
        answers: by the digest of the prompt.
        prompts: the digest of every place's prompt.
        size: the bytes of the complete lines.
    """

    identity: dict[str, Any] | None
    manner: dict[str, Any]
    answers: dict[str, Answer]
    prompts: dict[Place, str]
    size: int


def read_lines(data: bytes, name: str = JOURNAL_FILE) -> Lines:
    """Read a journal; what stands behind the last line end is left out.

    Args:
        data: the file's bytes.
        name: of the file, for messages.

    Raises:
        JournalError: a complete line is no line of a journal.
    """
    complete = data[: data.rfind(b"\n") + 1]
    identity: dict[str, Any] | None = None
    manner: dict[str, Any] = {}
    answers: dict[str, Answer] = {}
    prompts: dict[Place, str] = {}
    for number, line in enumerate(complete.split(b"\n")[:-1], start=1):
        try:
            content = json.loads(line)
            if number == 1:
                if content["journal"] != LAYOUT:
                    raise JournalError(
                        f"{name} is of another release (layout {content['journal']!r}, this one writes {LAYOUT}). Choose another "
                        "output folder, or remove the file."
                    )

                identity = dict(content["identity"])
            elif "manner" in content:
                manner = dict(content["manner"])
            else:
                place = (str(content["dataset"]), int(content["row"]), str(content["perturbation"]))
                digest = prompts[place] = str(content["prompt"])
                answers[digest] = Answer.model_validate(content["answer"])
        except JournalError:
            raise
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise JournalError(
                f"{name}, line {number} is no line of a journal: something else has written into the file. Remove the line, "
                "whose question will be asked again, or the file."
            ) from error

    return Lines(identity, manner, answers, prompts, len(complete))


class Journal:
    """An open journal; made by `open_journal`.

    Attributes:
        lines: what it says.
    """

    def __init__(self, path: Path, lines: Lines, file: int) -> None:
        self.lines = lines
        self._path = path
        self._file = file

    def find(self, digest: str) -> Answer | None:
        """The answer to a prompt; None where it is not known."""
        return self.lines.answers.get(digest)

    def check(self, place: Place, digest: str) -> None:
        """Refuse a prompt that has changed since the journal holds an answer in its place.

        Raises:
            JournalError: it has.
        """
        known = self.lines.prompts.get(place)
        if known is not None and known != digest:
            dataset, row, perturbation = place
            raise JournalError(
                f"{self._path} holds an answer for dataset `{dataset}`, row {row}, {perturbation}, whose question or media were "
                "others: the data, the perturbations or the media have changed since. Choose another output folder, or remove "
                "the file to ask everything again."
            )

    def add(self, place: Place, digest: str, answer: Answer) -> None:
        """Write an answer.

        Raises:
            ModalityInterferenceError: the disk is full or gone.
        """
        dataset, row, perturbation = place
        self._write(
            {
                "dataset": dataset,
                "row": row,
                "perturbation": perturbation,
                "prompt": digest,
                "answer": answer.model_dump(exclude_defaults=True),
            }
        )
        self.lines.answers[digest] = answer
        self.lines.prompts[place] = digest

    def keep_manner(self, manner: Mapping[str, Any]) -> None:
        """Write how the server wants to be asked."""
        if dict(manner) != self.lines.manner:
            self._write({"manner": dict(manner)})
            self.lines = self.lines._replace(manner=dict(manner))

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Write the first line, or compare it.

        Raises:
            JournalError: the journal is of another model, server, seed or other settings; names them.
        """
        known = self.lines.identity
        wanted = json.loads(json.dumps(dict(identity)))
        if known is None:
            self._write({"journal": LAYOUT, "identity": wanted})
            self.lines = self.lines._replace(identity=wanted)
            return

        other = [name for name in {**known, **wanted} if known.get(name) != wanted.get(name)]
        if other:
            found = "; ".join(f"`{name}` {known.get(name)!r}, now {wanted.get(name)!r}" for name in other)
            raise JournalError(
                f"{self._path} is the journal of another run: {found}. Choose another output folder, or remove the file."
            )

    def _write(self, content: Mapping[str, Any]) -> None:
        line = json.dumps(content, separators=(",", ":")).encode() + b"\n"  # ASCII, so that any text fits
        try:
            while line:
                line = line[os.write(self._file, line) :]

            os.fsync(self._file)
        except OSError as error:
            raise ModalityInterferenceError(
                f"cannot write {self._path}: {error.strerror}. Free some space, and start again: what was answered is kept."
            ) from error


@contextmanager
def open_journal(folder: Path) -> Iterator[Journal]:
    """The journal of an output folder, for this process alone; a line that a killed process left half written is removed.

    Raises:
        JournalError: another process has it open; it is no file, or cannot be read.
    """
    path = folder / JOURNAL_FILE
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(folder / f".{JOURNAL_FILE}.lock").acquire(timeout=0))
            if path.exists() and not path.is_file():  # a pipe would block for ever
                raise JournalError(f"{path} is no regular file. Choose another output folder, or remove it.")

            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            stack.callback(os.close, file)
            lines = read_lines(path.read_bytes(), str(path))
            os.ftruncate(file, lines.size)
        except Timeout as error:
            raise JournalError(
                f"another process writes {path}. Wait until it has finished, or choose another output folder."
            ) from error
        except OSError as error:
            raise JournalError(
                f"cannot use {path}: {error.strerror or error}. Choose another output folder."
            ) from error

        yield Journal(path, lines, file)
