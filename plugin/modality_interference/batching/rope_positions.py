"""Positions of media tokens: of media that rows share, and of rows with and without audio in their video."""

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..errors import ModalityInterferenceError
from ..modality import Modality


_OF_MEDIA = {  # what has an entry per medium in a batch and decides on positions
    Modality.IMAGE: ("image_grid_thw",),
    Modality.VIDEO: ("video_grid_thw", "second_per_grid_ts", "video_second_per_grid"),
    Modality.AUDIO: ("feature_attention_mask",),
}
Compute = Callable[[dict[str, Tensor], dict[str, Any]], None]


def lines_of(mm_inputs: dict[str, Any], media: Mapping[Modality, Tensor]) -> dict[str, Any]:
    """The entries of some media, in place of those of all.

    Args:
        mm_inputs: what LLaMA-Factory's mm_plugin makes of the media.
        media: of each modality where it matters, the indices of the media, repeats allowed.
    """
    taken = dict(mm_inputs)
    for modality, index in media.items():
        for name in _OF_MEDIA[modality]:
            lines = mm_inputs.get(name)
            if isinstance(lines, list):
                taken[name] = [lines[position] for position in index.tolist()]
            elif lines is not None:
                taken[name] = lines[index]

    return taken


def interleaved(counts: Mapping[Modality, Tensor]) -> bool:
    """Whether a batch to generate from interleaves frames and audio.

    Args:
        counts: (rows,) how many media of each modality a row has.

    Raises:
        ModalityInterferenceError: only some of its videos are interleaved; the model would get the others' positions wrong.
    """
    with_video = counts[Modality.VIDEO] > 0
    both = with_video & (counts[Modality.AUDIO] > 0)
    if both.any() and not both[with_video].all():
        raise ModalityInterferenceError(
            "`use_audio_in_video: true` and generated answers: a batch holds rows with video and audio and rows with video "
            "only, for which the model would compute wrong positions. Use `diagnosis_scoring: likelihood`, evaluate them in "
            "runs of their own, or set `per_device_eval_batch_size: 1`."
        )

    return bool(both.any())


def compute_separately(
    compute: Compute,
    features: dict[str, Tensor],
    mm_inputs: dict[str, Any],
    counts: Mapping[Modality, Tensor],
    processor: Any,
) -> None:
    """Compute positions where the processor's `use_audio_in_video` is on.

    transformers then takes every video for one that is interleaved with its audio; positions of a row with a video but
    without audio would silently be wrong. Rows that interleave nothing are computed separately, with the switch off.

    Args:
        compute: LLaMA-Factory's function, which adds `position_ids` (3, rows, tokens) and `rope_deltas` to `features`.
        features: `input_ids`, `attention_mask`: (rows, tokens).
        mm_inputs: with an entry for each medium of each row.
        counts: (rows,) how many media of each modality a row has.
        processor: whose `use_audio_in_video` it reads.
    """
    both = (counts[Modality.VIDEO] > 0) & (counts[Modality.AUDIO] > 0)
    if both.all():
        compute(features, mm_inputs)
        return

    if not both.any():
        with _switched_off(processor):
            compute(features, mm_inputs)

        return

    shape = features["input_ids"].shape
    features["position_ids"], features["rope_deltas"] = torch.zeros(3, *shape).long(), torch.zeros(len(both), 1)
    for rows in (both, ~both):
        part = {name: features[name][rows] for name in ("input_ids", "attention_mask")}
        media = {
            modality: torch.nonzero(torch.repeat_interleave(rows, count))[:, 0] for modality, count in counts.items()
        }
        if rows is both:
            compute(part, lines_of(mm_inputs, media))
        else:
            with _switched_off(processor):
                compute(part, lines_of(mm_inputs, media))

        features["position_ids"][:, rows] = part["position_ids"].long()
        features["rope_deltas"][rows] = part["rope_deltas"].float()


@contextmanager
def _switched_off(processor: Any):
    processor.use_audio_in_video = False
    try:
        yield
    finally:
        processor.use_audio_in_video = True
