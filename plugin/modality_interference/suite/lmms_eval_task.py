"""What lmms-eval calls for the questions of an exported suite. The file stands alone: an export copies it as `utils.py`.

It reads an answer by a few rules, for a first look. `modality-interference suite score` reads them with care, and has flips,
intervals and a page.
"""

import atexit
import io
import os
import re
import shutil
import tempfile
import wave

import numpy as np
from PIL import Image


PLACEHOLDERS = {"<image>": "images", "<video>": "videos", "<audio>": "audios"}
_ANY = re.compile("(" + "|".join(PLACEHOLDERS) + ")")
_DECLARED = re.compile(r"\b(?:answer|option|choice)\b\W*(?:is\b\W*)?\(?([A-Z])\b", re.IGNORECASE)
_LEADING = re.compile(r"\W*([A-Z])\b")
_folder = None  # of videos, which models read from files


def doc_to_messages(doc, lmms_eval_specific_kwargs=None):
    """The turns of a question, each medium at its place: for models that chat."""
    media = {name: iter(_opened(doc, name)) for name in PLACEHOLDERS.values()}
    system = [{"role": "system", "content": doc["system"]}] if doc["system"] else []
    return [
        {"role": turn["role"], "content": list(_contents(turn["content"], media))}
        for turn in [*system, *doc["prompt"]]
    ]


def doc_to_visual(doc):
    """All media of a question, in order: for models that take them before the text."""
    return [medium for name in PLACEHOLDERS.values() for medium in _opened(doc, name)]


def doc_to_text(doc, lmms_eval_specific_kwargs=None):
    """All that is asked as one text, without placeholders."""
    turns = [doc["system"], *(turn["content"] for turn in doc["prompt"])]
    return "\n\n".join(text for text in (_ANY.sub("", turn or "").strip() for turn in turns) if text)


def process_results(doc, results):
    """Whether the answer is right; the id is kept, so that a file of samples can be scored again."""
    answer = results[0] if isinstance(results[0], str) else str(results[0])
    right = _is_right(answer, doc["options"], doc["label"], doc["answer"])
    return {"accuracy_" + doc["perturbation"]: {"id": doc["id"], "right": right}}


def share(items):
    """The share of right answers."""
    return sum(item["right"] for item in items) / max(len(items), 1)


def _contents(text, media):
    for part in _ANY.split(text):
        if part in PLACEHOLDERS:
            yield {"type": part.strip("<>"), "url": next(media[PLACEHOLDERS[part]])}
        elif part:
            yield {"type": "text", "text": part}


def _opened(doc, name):
    return [_OPENERS[name](item) for item in doc.get(name) or []]


def _image(item):
    return Image.open(io.BytesIO(item["bytes"])).convert("RGB")


def _audio(item):
    with wave.open(io.BytesIO(item["bytes"])) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return {"array": samples.astype(np.float32) / 32768, "sampling_rate": file.getframerate()}


def _video(item):
    global _folder
    if _folder is None:
        _folder = tempfile.mkdtemp(prefix="suite_videos_")
        atexit.register(shutil.rmtree, _folder, ignore_errors=True)

    path = os.path.join(_folder, os.path.basename(item["path"]))
    if not os.path.exists(path):
        with open(path, "wb") as file:
            file.write(item["bytes"])

    return path


_OPENERS = {"images": _image, "videos": _video, "audios": _audio}


def _is_right(answer, options, label, expected):
    answer = answer.rpartition("</think>")[2].strip()
    if label is None or not options:
        return _plain(answer) == _plain(expected)

    if _plain(answer) == _plain(options[label]):
        return True

    declared = _DECLARED.findall(answer) or _LEADING.findall(answer)[:1]
    return bool(declared) and label < 26 and declared[-1].upper() == chr(ord("A") + label)


def _plain(text):
    return " ".join(text.casefold().split()).strip(".!\"'` ")
