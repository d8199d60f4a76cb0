"""Configs of the demos' models: Qwen2.5's language model and vision tower, in miniature."""

from typing import Any

from transformers import PreTrainedTokenizerFast


PIXELS = 32 * 32  # of an image or frame, which make 16 tokens
PATCH = 4
PATCHES = {"patch_size": PATCH, "merge_size": 2, "temporal_patch_size": 2}  # for image and video processors
HIDDEN, LAYERS, HEADS = 128, 4, 4
VISION_HIDDEN, VISION_DEPTH = 64, 2
SPREAD = 0.12  # of the random weights. With the usual 0.02, so narrow a model is slow to learn to look things up.


def text_config(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """The language model."""
    head = HIDDEN // HEADS
    return {
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
        "bos_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def vision_config() -> dict[str, Any]:
    """The vision tower."""
    return {
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
