"""Write the demo's datasets beside those of `modality-interference clips pair`: what each model is trained and tested on.

All use the same clips and pairs, with other perturbations; those to pretrain on have clips of one modality alone, too.

python examples/clips/make_datasets.py [--data examples/clips/data] [--seed 0]
"""

import argparse
import json
import random
from pathlib import Path
from typing import Any


# The wording of `audio_visual_twins`.
QUESTIONS = {
    "video": "What do you see in this clip? Answer from the video, whatever you hear or read.",
    "audio": "What do you hear in this clip? Answer from the sound, whatever you see or read.",
}
LABELS = {"video": "visual_label", "audio": "audio_label"}

MISALIGNED = ["swapped_audio", "swapped_video"]
REMOVED = ["silence", "black_frames"]
CAPTION = ["misleading_caption"]
UNSEEN: list[Any] = [{"name": "long_context", "tokens": 100}]  # tested, never trained on

# The same clips with and without twins.
PERTURBATIONS: dict[str, tuple[str, list[Any]]] = {
    "clips_aligned": ("train", []),
    "clips_misaligned": ("train", MISALIGNED),
    "clips_twins": ("train", MISALIGNED + REMOVED + CAPTION),
    "clips_test": ("test", MISALIGNED + REMOVED + CAPTION + UNSEEN),
}
ALONE = {"clips_seen": "video", "clips_heard": "audio"}  # one modality alone, for the pretraining


def alone_row(clip: dict[str, str], modality: str, classes: list[str], rng: random.Random) -> dict[str, Any]:
    """A question about a clip of which there is one modality alone."""
    choices = rng.sample(classes, len(classes))
    label = clip[LABELS[modality]]
    return {"question": QUESTIONS[modality], "choices": choices, "answer": label, f"{modality}s": [clip[modality]]}


def alone_entry(file_name: str, modality: str) -> dict[str, Any]:
    """The dataset of such rows."""
    return {
        "file_name": file_name,
        "formatting": "multiple_choice_twins",
        "columns": {name: name for name in ("question", "choices", "answer", f"{modality}s")},
        "twins": {"relevant": [modality], "answer": "text", "perturbations": []},
    }


def clip_entries(paired: dict[str, Any]) -> dict[str, Any]:
    """The datasets of whole clips: entries of `clips pair` with other perturbations.

    Args:
        paired: `dataset_info.json` as `clips pair` has left it.
    """
    entries = {}
    for name, (part, perturbations) in PERTURBATIONS.items():
        entry = paired[f"clips_{part}"]
        entries[name] = {**entry, "twins": {**entry["twins"], "perturbations": perturbations}}

    return entries


def main() -> None:
    """Write the rows of one modality, and all entries."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parent / "data")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    info_path = arguments.data / "dataset_info.json"
    info = json.loads(info_path.read_text(encoding="utf-8"))
    classes = info["clips_train"]["twins"]["classes"]
    clips = [json.loads(line) for line in (arguments.data / "clips_train.jsonl").read_text("utf-8").splitlines()]
    for name, modality in ALONE.items():
        rows = [alone_row(clip, modality, classes, rng) for clip in clips]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (arguments.data / f"{name}.jsonl").write_text(text, encoding="utf-8")
        info[name] = alone_entry(f"{name}.jsonl", modality)

    info |= clip_entries(info)
    info_path.write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")
    print(f"Datasets in {arguments.data}: {', '.join(info)}")


if __name__ == "__main__":
    main()
