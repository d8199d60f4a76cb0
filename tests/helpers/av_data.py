"""Small datasets of clips, for runs of the real `run_exp` on tiny models that see and hear."""

import json
from pathlib import Path
from typing import Any

from helpers.clip_files import CLASSES, write_audio, write_clip


NAMES = tuple(CLASSES)[:4]
SWAPS = ["swapped_audio", "swapped_video"]
EVERY = [*SWAPS, "silence", "black_frames", "misleading_caption", {"name": "long_context", "tokens": 40}]
COLUMNS = {
    "videos": "video",
    "audios": "audio",
    "visual_label": "visual_label",
    "audio_label": "audio_label",
    "swapped_video": "swapped_video",
    "swapped_audio": "swapped_audio",
    "swapped_visual_label": "swapped_visual_label",
    "swapped_audio_label": "swapped_audio_label",
}


SEEN = {  # for models that do not hear
    "columns": dict.fromkeys(name for name in COLUMNS if name not in ("videos", "visual_label")),
    "twins": {
        "ask_about": "video",
        "perturbations": ["misleading_caption", {"name": "long_context", "tokens": 40}],
    },
}
HEARD = {  # for models that do not see
    "file_name": "clips.jsonl",
    "formatting": "multiple_choice_twins",
    "columns": {"audios": "audio", "question": "question", "choices": "choices", "answer": "answer"},
    "twins": {
        "relevant": ["audio"],
        "answer": "text",
        "perturbations": ["misleading_text", {"name": "long_context", "tokens": 40}],
    },
}


def write_clips(folder: Path, clips: int = 4, longer: float = 0.25, **entries: dict[str, Any]) -> Path:
    """A dataset_dir with clips of every class in turn, the first of one second.

    Its datasets: `clips`, asked about both modalities, with every perturbation; `seen`, asked about the video, without audio;
    `heard`, asked about the audio, without video; `read`, `read_seen` and `read_heard`, questions that the text answers, beside
    video and audio or one of them.

    Args:
        folder: where it goes.
        clips: how many.
        longer: by how many seconds the second clip is longer, twice that the third, three times the fourth.
        entries: more datasets of the same clips, by name: what their entries have in place of that of `clips`; `columns`
            and `twins` are merged, a column that is None is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows, sums = [], []
    for index in range(clips):
        name, swapped = NAMES[index % len(NAMES)], (index + 1) % clips
        seconds = 1 + longer * (index % 4)
        write_clip(folder / f"{index}.mp4", name, name, seconds=seconds, fps=8, size=(64, 64), rate=16000)
        write_audio(folder / f"{index}.wav", name, seconds=seconds)
        rows.append(
            {
                "video": f"{index}.mp4",
                "audio": f"{index}.wav",
                "visual_label": name,
                "audio_label": name,
                "swapped_video": f"{swapped}.mp4",
                "swapped_audio": f"{swapped}.wav",
                "swapped_visual_label": NAMES[swapped % len(NAMES)],
                "swapped_audio_label": NAMES[swapped % len(NAMES)],
                "question": "What is heard?",
                "choices": list(NAMES),
                "answer": name,
            }
        )
        numbers = [str(index + shift) for shift in range(4)]
        question = f"What is {index} plus 1?"
        sums.append({"question": question, "choices": numbers, "answer": "B", "video": f"{index}.mp4"})
        sums[-1]["audio"] = f"{index}.wav"

    for name, lines in (("clips", rows), ("sums", sums)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    info = {name: _entry(**changes) for name, changes in ({"clips": {}, "seen": SEEN} | entries).items()}
    info |= {
        "read": _sums("video", "audio"),
        "read_seen": _sums("video"),
        "read_heard": _sums("audio"),
        "heard": HEARD,
    }
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


def _sums(*modalities: str) -> dict[str, Any]:
    removed = [{"video": "black_frames", "audio": "silence"}[modality] for modality in modalities]
    swapped = [f"swapped_{modality}" for modality in modalities]
    return {
        "file_name": "sums.jsonl",
        "formatting": "multiple_choice_twins",
        "columns": {name: name for name in ("question", "choices", "answer")}
        | {f"{name}s": name for name in modalities},
        "twins": {"relevant": ["text"], "answer": "text", "perturbations": [*removed, *swapped]},
    }


def _entry(**changes: Any) -> dict[str, Any]:
    changes = dict(changes)
    twins = {"classes": list(NAMES), "options": "all", "answer": "text", "perturbations": EVERY}
    columns = {key: name for key, name in (COLUMNS | changes.pop("columns", {})).items() if name is not None}
    twins |= changes.pop("twins", {})
    entry = {"file_name": "clips.jsonl", "formatting": "audio_visual_twins", "columns": columns, "twins": twins}
    return entry | changes
