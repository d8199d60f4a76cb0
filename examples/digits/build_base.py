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

from shared.tokenizer import build_tokenizer  # noqa: E402


PIXELS = 32 * 32
PATCH = 4
HIDDEN, LAYERS, HEADS = 128, 4, 4
VISION_HIDDEN, VISION_DEPTH = 64, 2
SPREAD = 0.12  # of the random weights. With the usual 0.02, so narrow a model is slow to learn to look things up.

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
    """A processor that turns a 32x32 picture into 16 image tokens."""
    size = {"shortest_edge": PIXELS, "longest_edge": PIXELS}
    sizes = {"patch_size": PATCH, "merge_size": 2, "temporal_patch_size": 2}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size, **sizes),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=size, **sizes),
    )


def build_config(tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLConfig:
    """Qwen2.5-VL in miniature."""
    head = HIDDEN // HEADS
    token_id = tokenizer.convert_tokens_to_ids
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "max_position_embeddings": 32768,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 100.0,
            "mrope_section": [head // 8, 3 * head // 16, 3 * head // 16],
        },
        "initializer_range": SPREAD,
        "tie_word_embeddings": True,
        "bos_token_id": token_id("<|endoftext|>"),
        "eos_token_id": token_id("<|im_end|>"),
        "pad_token_id": token_id("<|endoftext|>"),
    }
    vision = {
        "depth": VISION_DEPTH,
        "hidden_size": VISION_HIDDEN,
        "intermediate_size": 2 * VISION_HIDDEN,
        "num_heads": 4,
        "patch_size": PATCH,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 32,
        "fullatt_block_indexes": list(range(VISION_DEPTH)),
        "out_hidden_size": HIDDEN,
        "initializer_range": SPREAD,
    }
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
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
