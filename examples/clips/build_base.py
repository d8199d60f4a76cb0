"""Build the audio-visual demo's base: a Qwen2.5-Omni of about a million random parameters, without its talker.

LLaMA-Factory loads the folder with `template: qwen2_omni`; `pretrain.yaml` then teaches it to see and to hear.

    python examples/clips/build_base.py [--data examples/clips/data] [--output examples/clips/work/random]
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from string import ascii_uppercase

import torch
from transformers import (
    AutoModelForTextToWaveform,
    PreTrainedTokenizerFast,
    Qwen2_5OmniConfig,
    Qwen2_5OmniProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    WhisperFeatureExtractor,
)


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shared.tiny_qwen import HIDDEN, PATCHES, PIXELS, SPREAD, text_config, vision_config  # noqa: E402
from shared.tokenizer import build_tokenizer  # noqa: E402


SECONDS = 1  # of audio, which make 25 tokens; 300 in the real model
AUDIO_HIDDEN, AUDIO_DEPTH = 64, 2
MELS = 128  # fixed by LLaMA-Factory's and transformers' code

MEDIA_TOKENS = {
    "image_token": "<|IMAGE|>",
    "video_token": "<|VIDEO|>",
    "audio_token": "<|AUDIO|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *MEDIA_TOKENS.values())


def training_texts(data: Path) -> Iterator[str]:
    """The demo's questions, its captions and its answers."""
    for name in ("clips_seen", "clips_heard"):
        for line in (data / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            options = "\n".join(f"{letter}: {choice}" for letter, choice in zip(ascii_uppercase, row["choices"]))
            question = f"Question:\n{row['question']}\nOption:\n{options}\nAnswer with the text of the right option."
            yield f"user\nVideo_caption: {row['answer']}.\n{question}\nassistant\n{row['answer']}"


def build_processor(tokenizer: PreTrainedTokenizerFast) -> Qwen2_5OmniProcessor:
    """A processor that turns two frames of 32x32 pixels into 16 tokens, and a second of audio into 25."""
    size = {"shortest_edge": PIXELS, "longest_edge": PIXELS}
    return Qwen2_5OmniProcessor(
        Qwen2VLImageProcessor(size=size, **PATCHES),
        Qwen2VLVideoProcessor(size={"shortest_edge": PIXELS, "longest_edge": 2 * PIXELS}, **PATCHES),
        WhisperFeatureExtractor(feature_size=MELS, chunk_length=SECONDS),
        tokenizer,
    )


def audio_config() -> dict:
    """The audio tower in miniature."""
    return {
        "num_mel_bins": MELS,
        "d_model": AUDIO_HIDDEN,
        "encoder_layers": AUDIO_DEPTH,
        "encoder_attention_heads": 4,
        "encoder_ffn_dim": 2 * AUDIO_HIDDEN,
        "output_dim": HIDDEN,
        "initializer_range": SPREAD,
    }


def build_config(tokenizer: PreTrainedTokenizerFast) -> Qwen2_5OmniConfig:
    """Qwen2.5-Omni in miniature: a thinker without a talker."""
    thinker = {
        "text_config": text_config(tokenizer),
        "vision_config": vision_config(),
        "audio_config": audio_config(),
        "initializer_range": SPREAD,
        "image_token_index": tokenizer.image_token_id,
        "video_token_index": tokenizer.video_token_id,
        "audio_token_index": tokenizer.audio_token_id,
        "vision_start_token_id": tokenizer.vision_bos_token_id,
        "vision_end_token_id": tokenizer.vision_eos_token_id,
        "audio_start_token_id": tokenizer.audio_bos_token_id,
        "audio_end_token_id": tokenizer.audio_eos_token_id,
    }
    return Qwen2_5OmniConfig(thinker_config=thinker, enable_audio_output=False)


def main() -> None:
    """Build and save model, tokenizer and processor."""
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=here / "data")
    parser.add_argument("--output", type=Path, default=here / "work" / "random")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    tokenizer = build_tokenizer(training_texts(arguments.data), SPECIAL_TOKENS, extra_special_tokens=MEDIA_TOKENS)
    model = AutoModelForTextToWaveform.from_config(build_config(tokenizer), dtype=torch.float32)
    model.save_pretrained(arguments.output)
    build_processor(tokenizer).save_pretrained(arguments.output)
    torch.save({}, arguments.output / "spk_dict.pt")  # the voices, without which transformers does not load the folder
    print(f"Wrote {model.num_parameters():,} random parameters to {arguments.output}.")


if __name__ == "__main__":
    main()
