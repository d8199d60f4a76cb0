"""Build the demo's base: a Qwen2.5-VL of under a million random parameters, with its own tokenizer and processor.

Stock LLaMA-Factory loads the folder with `template: qwen2_vl`; `pretrain.yaml` then teaches it to read digits and to add.

    python examples/digits/build_base.py [--data examples/digits/data] [--output examples/digits/work/random]
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

import torch
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shared.tiny_qwen import PATCHES, PIXELS, text_config, vision_config  # noqa: E402
from shared.tokenizer import build_tokenizer  # noqa: E402


SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)


def training_texts(data: Path) -> Iterator[str]:
    """The demo's prompts, and English prose that every Python brings, for the sentences that twins will add."""
    yield from topics.values()
    with (data / "pretrain.jsonl").open(encoding="utf-8") as rows:
        for row in rows:
            yield json.loads(row)["instruction"].replace("<image>", "")
    yield from ["system\nYou are a helpful assistant.\nuser\nassistant\n"] * 1000


def build_processor(tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLProcessor:
    """A processor that turns a 32x32 image into 16 image tokens."""
    size = {"shortest_edge": PIXELS, "longest_edge": PIXELS}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size, **PATCHES),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=size, **PATCHES),
    )


def build_config(tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLConfig:
    """Qwen2.5-VL in miniature."""
    token_id = tokenizer.convert_tokens_to_ids
    return Qwen2_5_VLConfig(
        text_config=text_config(tokenizer) | {"tie_word_embeddings": True},
        vision_config=vision_config(),
        image_token_id=token_id("<|image_pad|>"),
        video_token_id=token_id("<|video_pad|>"),
        vision_start_token_id=token_id("<|vision_start|>"),
        vision_end_token_id=token_id("<|vision_end|>"),
        tie_word_embeddings=True,
    )


def main() -> None:
    """Build and save model, tokenizer and processor."""
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=here / "data")
    parser.add_argument("--output", type=Path, default=here / "work" / "random")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    texts = training_texts(arguments.data)
    tokenizer = build_tokenizer(texts, SPECIAL_TOKENS, additional_special_tokens=list(SPECIAL_TOKENS[1:]))
    model = Qwen2_5_VLForConditionalGeneration(build_config(tokenizer))
    model.save_pretrained(arguments.output)
    build_processor(tokenizer).save_pretrained(arguments.output)
    print(f"Wrote {model.num_parameters():,} random parameters to {arguments.output}.")


if __name__ == "__main__":
    main()
