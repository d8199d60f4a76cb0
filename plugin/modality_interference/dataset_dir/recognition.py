"""Recognise what the columns of a data file are, by their names and by what is in them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ..data.options import LETTERS, parse_options, present
from ..errors import ModalityInterferenceError, Unusable
from ..messages import listed
from ..modality import MEDIA, Modality
from .cells import Reading, answer_reading, images_reading, messages_reading, options_reading


# What formats call a column, and the names that data files give it, the usual ones first; in lower case, signs as `_`.
_NAMES = {
    "question": "question query problem prompt instruction question_text question_stem stem text_question input_text",
    "choices": "choices options answer_choices candidates multiple_choices option_list mc_options endings",
    "answer": "answer correct_answer right_answer answer_key answerkey label target gold ground_truth gt correct_option "
    "correct_choice answer_idx answer_index correct_index correct cop solution output response completion caption caption_str answers",
    "context": "context hint passage",
    "distractors": "distractors distractor",
    "images": "images image image_path image_paths img img_path picture pictures photo image_file image_files",
    "videos": "videos video video_path video_paths video_file clip",
    "audios": "audios audio audio_path audio_paths audio_file sound speech wav",
    "messages": "messages conversations conversation dialogue dialog chat turns",
    "label": "label class category fine_label coarse_label",
    "query": "input",
    "system": "system system_prompt",
}
_FILE_NAMES = (
    "file_name",
    "filename",
    "file",
    "path",
    "media",
    "media_path",
)  # of any kind of medium: their suffixes tell
_SUFFIXES = {
    "images": "jpg jpeg png webp gif bmp tif tiff avif",
    "videos": "mp4 avi mkv mov webm flv mpeg mpg m4v",
    "audios": "wav mp3 flac ogg m4a opus aac",
}
_LETTERED = re.compile(r"(?:(?:option|choice|opt|op|answer|ans)_?)?([a-z])", re.ASCII)
_NUMBERED = re.compile(r"(?:option|choice|opt|op|answer|ans)_?([0-9]{1,2})", re.ASCII)
_NUMBERED_MEDIUM = re.compile(r"(?:image|img|picture|photo|video|clip|audio|sound)_?[0-9]{1,2}", re.ASCII)
_TAGS = {
    ("role", "content"): {
        "role_tag": "role",
        "content_tag": "content",
        "user_tag": "user",
        "assistant_tag": "assistant",
        "system_tag": "system",
    },
    ("from", "value"): {},  # LLaMA-Factory's own of sharegpt
}


@dataclass(frozen=True)
class Recognised:
    """What a data file is.

    Attributes:
        formatting: the format that reads it.
        columns: from the format's keys to the file's columns.
        tags: of turns, where they are not LLaMA-Factory's own.
        readings: how cells are read that the format does not read as they are, by column.
        media: the modalities of which some row has media.
    """

    formatting: str
    columns: dict[str, str]
    tags: dict[str, str] = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)
    media: tuple[Modality, ...] = ()


def recognise(
    columns: Sequence[str], rows: Sequence[Mapping[str, Any]], classes: Iterable[str] = (), media_dir: str = ""
) -> Recognised:
    """Recognise the columns of a data file.

    Args:
        columns: their names.
        rows: some rows; of any content.
        classes: the columns that are class labels with names.
        media_dir: from where paths of media start.

    Raises:
        ModalityInterferenceError: the columns are no questions with answers, or media are in columns that no format reads; says
            what is missing.
    """
    found = _by_name(columns, rows)
    _check_all_media_named(columns, rows, found)
    lettered = _lettered_columns(columns)
    media = {key: found[key] for key in MEDIA.values() if key in found}
    label = next((name for name in classes if found.get("label") == name or found.get("answer") == name), None)
    turns = _turns(found, rows)
    if "question" in found and "answer" in found and (lettered or "choices" in found):
        recognised = _questions(found, lettered, media, rows)
    elif turns is not None:
        recognised = _conversations(found, turns, media, rows)
    elif "images" in found and label is not None and "question" not in found:
        recognised = Recognised("image_classification_twins", {"images": found["images"], "label": label})
    elif "question" in found and "answer" in found:
        recognised = _instructions(found, media)
    else:
        raise ModalityInterferenceError(_not_recognised(columns, found))

    readings = dict(recognised.readings)
    if "images" in media and (reading := images_reading(_cells(rows, media["images"]), media_dir)):
        readings[media["images"]] = reading

    present_media = tuple(
        modality
        for modality, key in MEDIA.items()
        if key in media and any(_is_filled(cell) for cell in _cells(rows, media[key]))
    )
    return Recognised(recognised.formatting, recognised.columns, recognised.tags, readings, present_media)


def _plain(name: str) -> str:
    """`imagePath`, `Image Path` and `image-path` as `image_path`."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", name.strip())
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _by_name(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The columns by key; where several have names of a key, the first name of `_NAMES` that has any value."""
    plain: dict[str, str] = {}
    for column in columns:
        plain.setdefault(_plain(column), column)

    found: dict[str, str] = {}
    for key, names in _NAMES.items():  # several columns may have names of a key
        known = [plain[name] for name in names.split() if name in plain]
        filled = [column for column in known if any(_is_filled(cell) for cell in _cells(rows, column))]
        if known:
            found[key] = (filled or known)[0]

    for column in (plain[name] for name in _FILE_NAMES if name in plain):
        kind = _kind_of_files(_cells(rows, column))
        if kind is not None:
            found.setdefault(kind, column)

    return found


def _check_all_media_named(
    columns: Sequence[str], rows: Sequence[Mapping[str, Any]], found: Mapping[str, str]
) -> None:
    """Refuse media in columns that would be left out: `image_1`, `image_2`, ..., or images under a name of their own."""
    others = [column for column in columns if column not in found.values()]
    numbered = [
        column
        for column in others
        if _NUMBERED_MEDIUM.fullmatch(_plain(column)) and any(_is_filled(cell) for cell in _cells(rows, column))
    ]
    unnamed = [column for column in others if "images" not in found and any(map(_holds_image, _cells(rows, column)))]
    if numbered or unnamed:
        raise ModalityInterferenceError(
            f"the columns {listed(numbered or unnamed)} hold media, and formats read those of one column each: `images`, `videos` or "
            "`audios`. Put all images of a row as a list into the column `images`, with a placeholder `<image>` in the question "
            "where each belongs, or write an entry in a dataset_info.json that names the column (docs/data.md)."
        )


def _holds_image(cell: Any) -> bool:
    items = cell if isinstance(cell, (list, tuple)) else [cell]
    return any(isinstance(item, Mapping) and set(item) == {"bytes", "path"} and any(item.values()) for item in items)


def _kind_of_files(cells: Sequence[Any]) -> str | None:
    suffixes = {PurePosixPath(cell).suffix.lower().lstrip(".") for cell in cells if isinstance(cell, str)}
    return next((kind for kind, known in _SUFFIXES.items() if suffixes and suffixes <= set(known.split())), None)


def _cells(rows: Sequence[Mapping[str, Any]], column: str) -> list[Any]:
    return [row.get(column) for row in rows]


def _is_filled(cell: Any) -> bool:
    return present(cell) is not None and not (isinstance(cell, (list, tuple)) and not cell)


def _lettered_columns(columns: Sequence[str]) -> dict[str, str]:
    """Columns with an option each, by letter: `A`, `option_a`, `opa`, `choice1`; empty where there are no two."""
    for pattern, first in ((_LETTERED, "a"), (_NUMBERED, "1"), (_NUMBERED, "0")):
        matches = {column: pattern.fullmatch(_plain(column)) for column in columns}
        named: dict[str, str] = {}
        for column, match in matches.items():
            if match is not None:
                named.setdefault(match[1].lstrip("0") or "0", column)

        start = 0 if first == "a" else int(first)
        names = list(LETTERS.lower()) if first == "a" else [str(start + index) for index in range(len(LETTERS))]
        found: dict[str, str] = {}
        for letter, name in zip(LETTERS, names):
            if name not in named:
                break

            found[letter] = named[name]

        if len(found) > 1:
            return found

    return {}


def _turns(found: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> dict[str, str] | None:
    """The tags of the turns in a column of conversations; None where there is none."""
    for cell in _cells(rows, found["messages"]) if "messages" in found else ():
        turn = cell[0] if isinstance(cell, (list, tuple)) and cell else None
        if isinstance(turn, Mapping):
            return next((dict(tags) for keys, tags in _TAGS.items() if set(keys) <= set(turn)), None)

    return None


def _questions(
    found: Mapping[str, str], lettered: Mapping[str, str], media: Mapping[str, str], rows: Sequence[Mapping[str, Any]]
) -> Recognised:
    """Questions with options, in a column of their own or in a column each."""
    extra = {key: found[key] for key in ("context", "distractors") if key in found}
    columns = {"question": found["question"], **lettered, "answer": found["answer"], **media, **extra}
    answers, readings = _cells(rows, found["answer"]), {}
    if lettered:
        options = [_own_options([row.get(column) for column in lettered.values()]) for row in rows]
    else:
        columns = {"question": found["question"], "choices": found["choices"], **columns}
        cells = _cells(rows, found["choices"])
        if reading := options_reading(cells, answers):
            readings[found["choices"]] = reading
            cells = [reading.convert(cell) for cell in cells]

        options = [_own_options(cell) for cell in cells]

    if reading := answer_reading(answers, options):
        readings[found["answer"]] = reading

    formatting = "lettered_choice_twins" if lettered else "multiple_choice_twins"
    return Recognised(formatting, columns, readings=readings)


def _own_options(value: Any) -> Sequence[Any]:
    if isinstance(value, list):
        value = [present(item) for item in value]

    try:
        return parse_options(value).texts
    except Unusable:
        return ()


def _conversations(
    found: Mapping[str, str], tags: dict[str, str], media: Mapping[str, str], rows: Sequence[Mapping[str, Any]]
) -> Recognised:
    both = ("choices", "answer") if {"choices", "answer"} <= set(found) else ()
    extra = {key: found[key] for key in (*both, "distractors", "system") if key in found}
    reading = messages_reading(_cells(rows, found["messages"]))
    readings = {found["messages"]: reading} if reading is not None else {}
    return Recognised("sharegpt_twins", {"messages": found["messages"], **media, **extra}, tags, readings)


def _instructions(found: Mapping[str, str], media: Mapping[str, str]) -> Recognised:
    """Questions with free answers."""
    extra = {key: found[key] for key in ("query", "distractors", "system") if key in found}
    return Recognised("alpaca_twins", {"prompt": found["question"], "response": found["answer"], **media, **extra})


def _not_recognised(columns: Sequence[str], found: Mapping[str, str]) -> str:
    missing = [key for key in ("question", "answer") if key not in found]
    usual = "; ".join(f"{key}: {listed(_NAMES[key].split()[:6])}" for key in missing)
    return (
        f"the columns {listed(columns)} are no questions with right answers: none is called as {listed(missing)} usually "
        f"{'is' if len(missing) == 1 else 'are'} ({usual}), and none holds conversations (`messages`). Rename columns, or write "
        "an entry in a dataset_info.json that names them (docs/data.md) and give DATA as FOLDER:NAME."
    )
