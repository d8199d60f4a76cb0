"""The labelled clips that `clips.jsonl` lists."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModalityInterferenceError
from ..recipes.paths import path_problem
from ..twins.answers import CANNOT_TELL
from ..twins.messages import shown
from .labels import Labels
from .manifest import ClipRecord, read_manifest


_AGAIN = "Run `modality-interference clips prepare` again"


@dataclass(frozen=True)
class Clip:
    """A labelled clip: its files, relative to the folder of `clips.jsonl`, and its classes."""

    video: str
    audio: str
    labels: Labels


def usable_clips(manifest: Path, home: Path) -> tuple[list[Clip], Counter[str]]:
    """The clips that have both labels.

    Args:
        manifest: a `clips.jsonl`.
        home: its folder, all links followed.

    Returns:
        The clips, and how many other lines there are, by what keeps them out.

    Raises:
        ModalityInterferenceError: a line is wrong, or names a file that is not there or lies outside the folder.
    """
    clips: dict[str, Clip] = {}
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


def _clip(record: ClipRecord, home: Path, where: str) -> Clip:
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

    return Clip(files[0], files[1], Labels(record.visual_label, record.audio_label))


def class_names(clips: Sequence[Clip], manifest: Path) -> list[str]:
    """All that clips show or sound like, sorted.

    Args:
        clips: the clips.
        manifest: where they come from, for messages.

    Raises:
        ModalityInterferenceError: there are no clips, or two names would be taken for the same answer.
    """
    if not clips:
        raise ModalityInterferenceError(
            f"{manifest} has no clip with both labels. {_AGAIN}, with the videos in folders of their class, or with "
            "`--labels`."
        )

    classes = sorted({name for clip in clips for name in (clip.labels.visual, clip.labels.audio) if name})
    alike: dict[str, str] = {_loose(CANNOT_TELL): CANNOT_TELL}
    for name in classes:
        other = alike.get(_loose(name))
        if other == CANNOT_TELL:
            raise ModalityInterferenceError(
                f"{manifest}: a class is called {shown(name)}, which is an answer. Rename it."
            )

        if other is not None:
            raise ModalityInterferenceError(
                f"{manifest}: the classes {shown(other)} and {shown(name)} differ in case or spaces only. Use one "
                f"spelling in the folders' names or the labels file. {_AGAIN}."
            )

        alike[_loose(name)] = name

    return classes


def _loose(name: str) -> str:
    return " ".join(name.casefold().split())
