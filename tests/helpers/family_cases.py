"""The families and data of the family tests (tests/train/test_families.py), which docs/compatibility.md rests on."""

from typing import Any

from helpers.rare_models import RARE_FAMILIES
from helpers.tiny_models import CLIP_FAMILIES, FAMILIES, Family
from modality_interference.modality import Modality


ALL: dict[str, Family] = FAMILIES | CLIP_FAMILIES | RARE_FAMILIES
IMAGES = {"dataset": "pictures,sums,both", "batch_mix": "image=1,text=1,both=1", "per_device_train_batch_size": 3}
CLIPS = {"dataset": "seen,read_seen", "batch_mix": "video=1,text=1", "per_device_train_batch_size": 2}
HEARD = {"dataset": "heard,read_heard", "batch_mix": "audio=1,text=1", "per_device_train_batch_size": 2}
CLIPS_WITH_AUDIO = {"dataset": "clips,read", "batch_mix": "video=1,audio=1,text=1", "per_device_train_batch_size": 3}
MEDIA = {
    IMAGES["dataset"]: {Modality.IMAGE},
    CLIPS["dataset"]: {Modality.VIDEO},
    HEARD["dataset"]: {Modality.AUDIO},
    CLIPS_WITH_AUDIO["dataset"]: {Modality.VIDEO, Modality.AUDIO},
}
Case = tuple[str, dict[str, Any]]

COMMON: list[Case] = [
    *[(family, IMAGES) for family in (*FAMILIES, "qwen2_5_omni", "llava_next_video")],
    *[(family, CLIPS) for family in ("qwen2_5_vl", "qwen3_vl", "llava_next_video", "qwen2_5_omni", "internvl")],
    ("qwen2_5_omni", CLIPS_WITH_AUDIO),
    ("qwen2_5_omni", CLIPS_WITH_AUDIO | {"use_audio_in_video": True}),
    *[(family, IMAGES) for family in ("mistral3", "gemma4", "paligemma")],
    ("qwen2_audio", HEARD),
]
WHOLE: list[Case] = [  # with `make test-engines`
    *[
        (family, IMAGES)
        for family in RARE_FAMILIES
        if family not in ("mistral3", "gemma4", "paligemma", "qwen2_audio")
    ],
    ("internvl3_5", CLIPS),
    ("video_llava", CLIPS),
    ("qwen3_5", CLIPS),
    ("gemma3n", HEARD),
    ("gemma4", CLIPS),
    ("gemma4n", CLIPS),
    ("qwen3_omni", IMAGES),
    ("qwen3_omni", CLIPS_WITH_AUDIO),
]
NOT_SHARING = {  # a part of the reason why rows cannot share prefixes
    "paligemma": "is not causal",
    "llama4": "chunked_attention",
    "qwen3_5": "linear_attention",
    "qwen3_5_moe": "linear_attention",
    "lfm2_vl": "conv",
}
NOT_CHECKPOINTED = ("gemma3n",)  # LLaMA-Factory switches gradient checkpointing off


def media_of_family_tests() -> dict[str, set[Modality]]:
    """By template, the media that the family tests run with it."""
    found: dict[str, set[Modality]] = {}
    for family, data in COMMON + WHOLE:
        found.setdefault(ALL[family].template, set()).update(MEDIA[data["dataset"]])

    return found
