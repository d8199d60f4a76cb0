"""The classes of clips: from the sub-folders that they are in or from a CSV file, and the labelled clips of `clips.jsonl`."""

import csv
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import ModalityInterferenceError
from ..files import path_problem
from ..messages import listed, shown, suggestion
from .manifest import ClipRecord, read_manifest


_FEW = 5  # files that a message names
_EXAMPLE = "`file,label`, or `file,visual_label,audio_label`"


@dataclass(frozen=True)
class Labels:
    """What a clip shows and what it sounds like; None where that is not known."""

    visual: str | None = None
    audio: str | None = None


def folder_labels(sources: Iterable[str]) -> dict[str, Labels]:
    """Labels from sub-folders: `dog/x.mp4` shows and sounds like a dog.

    Args:
        sources: paths in the input folder. One that is in no sub-folder, or in a sub-folder's sub-folder, gets no
            label: which of the folders would be the class?
    """
    parents = {source: PurePosixPath(source).parts[:-1] for source in sources}
    return {source: Labels(parts[0], parts[0]) if len(parts) == 1 else Labels() for source, parts in parents.items()}


def read_labels(path: Path, sources: Sequence[str]) -> dict[str, Labels]:
    """Labels from a CSV file, which must name all sources, and nothing else.

    Args:
        path: a UTF-8 file with the columns `file` and either `label` or both `visual_label` and `audio_label`.
        sources: paths in the input folder.

    Raises:
        ModalityInterferenceError: naming file and row, what was found and how to fix it.
    """
    known = {_normal(source): source for source in sources}
    labels: dict[str, Labels] = {}
    absent: list[tuple[int, str]] = []
    for number, row in _rows(path):
        file = (row["file"] or "").strip()
        source = known.get(_normal(file))
        if source is None:
            absent.append((number, file))
        elif source in labels:
            raise ModalityInterferenceError(
                f"{path}, line {number}: {shown(file)} has a row already. Remove one of them."
            )
        else:
            labels[source] = _labels(row, f"{path}, line {number}")

    missing = [source for source in sources if source not in labels]
    if absent or missing:
        raise ModalityInterferenceError(_mismatch(path, absent, missing, sources))

    return labels


def _rows(path: Path) -> Iterable[tuple[int, dict[str, str | None]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(path, list(reader.fieldnames or ()))
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise ModalityInterferenceError(f"cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ModalityInterferenceError(
            f"{path} is not UTF-8 text (byte {error.start:,}); save it as UTF-8."
        ) from error
    except csv.Error as error:
        raise ModalityInterferenceError(
            f"{path}, after line {reader.line_num}: {error}. Save it as CSV again."
        ) from error

    for number, row in rows:
        if None in row:
            raise ModalityInterferenceError(
                f"{path}, line {number} has more cells than the header has names. Put cells with a comma into quotes."
            )

    return rows


def _check_columns(path: Path, columns: list[str]) -> None:
    wanted = {"file", "label"} if "label" in columns else {"file", "visual_label", "audio_label"}
    if missing := sorted(wanted - set(columns)):
        raise ModalityInterferenceError(
            f"{path} has no column {listed(missing)}; it has {listed(columns)}. The first row must be {_EXAMPLE}."
        )

    if "label" in columns and {"visual_label", "audio_label"} & set(columns):
        raise ModalityInterferenceError(
            f"{path} has `label` and more specific columns. The first row must be {_EXAMPLE}."
        )

    if len(set(columns)) < len(columns):
        raise ModalityInterferenceError(f"{path} has a column twice: {listed(columns)}. Remove one.")


def _labels(row: dict[str, str | None], where: str) -> Labels:
    def cell(column: str) -> str:
        value = (row[column] or "").strip()
        if not value:
            raise ModalityInterferenceError(
                f"{where}: `{column}` is empty. Name a class, or take the row out and the file with it."
            )

        return value

    return (
        Labels(cell("label"), cell("label")) if "label" in row else Labels(cell("visual_label"), cell("audio_label"))
    )


def _mismatch(path: Path, absent: list[tuple[int, str]], missing: list[str], sources: Sequence[str]) -> str:
    parts = []
    if absent:
        few = [f"line {number}: {shown(file)}{suggestion(file, sources)}" for number, file in absent[:_FEW]]
        parts.append(
            f"{len(absent)} of its rows name no media file of the input folder ({_and_more(few, absent)}); write `file` as the "
            "path from the input folder, with slashes"
        )

    if missing:
        parts.append(
            f"{len(missing)} media files have no row ({_and_more(missing[:_FEW], missing)}); add rows, or move the files away"
        )

    return f"{path} and the input folder do not match: {'; '.join(parts)}."


def _and_more(few: list[str], everything: Sequence[object]) -> str:
    return ", ".join(few) + (", ..." if len(everything) > len(few) else "")


def _normal(name: str) -> str:
    """Letters with marks may be stored in two ways; macOS and spreadsheets do not choose the same."""
    return unicodedata.normalize("NFC", name)


_AGAIN = "Run `modality-interference clips prepare` again"


@dataclass(frozen=True)
class LabelledClip:
    """A labelled clip: its files, relative to the folder of `clips.jsonl`, and its classes."""

    video: str
    audio: str
    labels: Labels


def usable_clips(manifest: Path, home: Path) -> tuple[list[LabelledClip], Counter[str]]:
    """The clips that have both labels.

    Args:
        manifest: a `clips.jsonl`.
        home: its folder, all links followed.

    Returns:
        The clips, and how many other lines there are, by what keeps them out.

    Raises:
        ModalityInterferenceError: a line is wrong, or names a file that is missing or outside the folder.
    """
    clips: dict[str, LabelledClip] = {}
    unused: Counter[str] = Counter()
    for number, record in read_manifest(manifest):
        if record.status == "skipped":
            unused["skipped by `clips prepare`"] += 1
        elif not record.visual_label or not record.audio_label:
            unused["without a label"] += 1
        else:
            clip = _clip(record, home, f"{manifest}, line {number}")
            if clip.video in clips:
                raise ModalityInterferenceError(
                    f"{manifest}, line {number}: the clip {shown(clip.video)} has a line already. Remove one of them."
                )

            clips[clip.video] = clip

    return list(clips.values()), unused


def _clip(record: ClipRecord, home: Path, where: str) -> LabelledClip:
    files = []
    for key in ("video", "audio"):
        name = getattr(record, key)
        if not name or (why := path_problem(home, name)):
            problem = why if name else "is missing"
            raise ModalityInterferenceError(f"{where}: `{key}` {problem}. {_AGAIN}.")

        if not (home / name).is_file():
            raise ModalityInterferenceError(
                f"{where}: `{key}` names {shown(name)}, which does not exist. {_AGAIN}; it makes what is missing."
            )

        files.append(name)

    return LabelledClip(files[0], files[1], Labels(record.visual_label, record.audio_label))


def class_names(clips: Sequence[LabelledClip], manifest: Path, abstention: str | None = None) -> list[str]:
    """All that clips show or sound like, sorted.

    Args:
        clips: the clips.
        manifest: where they come from, for messages.
        abstention: an answer that no class may be called.

    Raises:
        ModalityInterferenceError: there are no clips, or two names would be taken for the same answer.
    """
    if not clips:
        raise ModalityInterferenceError(
            f"{manifest} has no clip with both labels. {_AGAIN}, with the videos in folders of their class, or with "
            "`--labels`."
        )

    classes = sorted({name for clip in clips for name in (clip.labels.visual, clip.labels.audio) if name})
    alike: dict[str, str] = {}
    for name in classes:
        if abstention is not None and _folded(name) == _folded(abstention):
            raise ModalityInterferenceError(
                f"{manifest}: a class is called {shown(name)}, which is what abstention says. Rename it, or choose other words."
            )

        other = alike.get(_folded(name))
        if other is not None:
            raise ModalityInterferenceError(
                f"{manifest}: the classes {shown(other)} and {shown(name)} differ in case or spaces only. Use one "
                f"spelling in the folders' names or the labels file. {_AGAIN}."
            )

        alike[_folded(name)] = name

    return classes


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())
