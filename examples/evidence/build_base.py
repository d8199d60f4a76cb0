"""Build the study's base: SmolLM2-135M-Instruct inside a Qwen2.5-VL, with a small vision tower that first learns to see.

The language model is the real one: its text logits are compared with the original's, and must be equal. The tower is trained
here, as a classifier of the training images alone; `pretrain.yaml` then teaches it to speak to the language model, which stays
frozen. So whatever trust in text the base has is SmolLM2's own.

    python examples/evidence/build_base.py [--data examples/evidence/data/seed0] [--output examples/evidence/work/seed0/tower]
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from images import SIDE
from PIL import Image
from rich.progress import track
from sources import language_model, require_sources
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shared.precision import bfloat16_pays  # noqa: E402


VISION_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")
PATCHES = {"patch_size": 4, "merge_size": 2, "temporal_patch_size": 2}
STEPS, BATCH, LEARNING_RATE = 800, 64, 1e-3  # of the classifier
SMOOTHING = 0.1
CLASSIFIER_REPORT = "classifier.json"


def build_config(vocabulary: int, ids: dict[str, int]) -> Qwen2_5_VLConfig:
    """SmolLM2's decoder in Qwen2.5-VL's terms, and a tower of 2.7 million parameters.

    Args:
        vocabulary: number of tokens.
        ids: of the vision tokens.
    """
    rope = {"rope_type": "default", "rope_theta": 100000.0, "mrope_section": [8, 12, 12]}
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": vocabulary,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "max_position_embeddings": 8192,
            "rms_norm_eps": 1e-5,
            "rope_parameters": rope,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 0,
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": 4,
            "hidden_size": 192,
            "intermediate_size": 512,
            "num_heads": 4,
            "patch_size": PATCHES["patch_size"],
            "spatial_merge_size": PATCHES["merge_size"],
            "temporal_patch_size": PATCHES["temporal_patch_size"],
            "window_size": 32,
            "fullatt_block_indexes": [0, 1, 2, 3],
            "out_hidden_size": 576,
            "initializer_range": 0.05,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )


def build_model() -> tuple[Qwen2_5_VLForConditionalGeneration, PreTrainedTokenizerBase]:
    """SmolLM2's weights in a Qwen2.5-VL whose tower is random."""
    folder, file = language_model()
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    language = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
    special = ["<|im_start|>", "<|im_end|>", *VISION_TOKENS]
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    tokenizer.eos_token, tokenizer.pad_token = "<|im_end|>", "<|endoftext|>"
    ids = dict(zip(VISION_TOKENS, tokenizer.convert_tokens_to_ids(list(VISION_TOKENS)), strict=True))
    model = Qwen2_5_VLForConditionalGeneration(build_config(len(tokenizer), ids))
    _copy_weights(language, model)
    _check_equal(language, model, tokenizer)
    return model, tokenizer


def _copy_weights(language: PreTrainedModel, model: Qwen2_5_VLForConditionalGeneration) -> None:
    """Vision tokens get the mean embedding; Qwen's biases, which SmolLM2 lacks, are zero."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, weight in language.state_dict().items():
            if name == "lm_head.weight":
                continue  # tied

            target = parameters[name.replace("model.", "model.language_model.", 1)]
            target[: len(weight)] = weight
            if "embed_tokens" in name:
                target[len(weight) :] = weight.mean(0)

        for name, parameter in parameters.items():
            if "language_model" in name and name.endswith("proj.bias"):
                parameter.zero_()

    model.tie_weights()


def _check_equal(
    language: PreTrainedModel, model: Qwen2_5_VLForConditionalGeneration, tokenizer: PreTrainedTokenizerBase
) -> None:
    tokens = tokenizer("The capital of France is", return_tensors="pt").input_ids
    with torch.no_grad():
        theirs = language(tokens).logits  # (1, tokens, vocabulary)
        ours = model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits

    difference = (theirs - ours[..., : theirs.shape[-1]]).abs().max().item()
    if difference:
        raise SystemExit(f"The text logits differ from SmolLM2's by up to {difference:.1e}; they must be equal.")


def build_processor(tokenizer: PreTrainedTokenizerBase) -> Qwen2_5_VLProcessor:
    """A processor that turns an image into 16 image tokens, and two side by side into 32."""
    size = {"shortest_edge": SIDE * SIDE, "longest_edge": 2 * SIDE * SIDE}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size, **PATCHES),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=size, **PATCHES),
    )


class Images:
    """All images of a split as the tower's input.

    Attributes:
        pixels: (images, patches, values of a patch).
        targets: (images,), class numbers.
        grid: (1, 3), patches of one image over time, height and width.
    """

    def __init__(self, folder: Path, split: str, classes: list[str], processor: Qwen2VLImageProcessor) -> None:
        files = sorted((folder / "images" / split).glob("*.png"))
        images = [np.asarray(Image.open(file).convert("RGB")) for file in files]
        encoded = processor(images=images, return_tensors="pt")
        self.grid = encoded["image_grid_thw"][:1]
        self.pixels = encoded["pixel_values"].view(len(files), int(self.grid.prod()), -1)
        self.targets = torch.tensor([classes.index(file.name.split("_")[0]) for file in files])


def train_tower(model: Qwen2_5_VLForConditionalGeneration, data: Path, processor: Qwen2_5_VLProcessor) -> float:
    """Train the vision tower to tell the classes of the training images apart, by a linear layer that is thrown away.

    Args:
        model: its tower is changed in place.
        data: the dataset folder.
        processor: makes the tower's input.

    Returns:
        the accuracy on the test images, a share.
    """
    classes = sorted({file.name.split("_")[0] for file in (data / "images" / "train").glob("*.png")})
    train, test = (Images(data, split, classes, processor.image_processor) for split in ("train", "test"))
    tower = model.model.visual
    head = nn.Linear(tower.config.out_hidden_size, len(classes))

    def scores(images: Images, chosen: torch.Tensor) -> torch.Tensor:  # (chosen, classes)
        grid = images.grid.expand(len(chosen), -1)
        merged = tower(images.pixels[chosen].flatten(0, 1), grid_thw=grid).pooler_output
        return head(merged.view(len(chosen), -1, merged.shape[-1]).mean(1))

    # every class equally often, however many images it has
    weights = 1 / torch.bincount(train.targets)[train.targets].double()
    optimizer = torch.optim.AdamW([*tower.parameters(), *head.parameters()], LEARNING_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=STEPS, pct_start=0.1)
    bf16 = bfloat16_pays()
    for _ in track(range(STEPS), "Training the tower"):
        chosen = torch.multinomial(weights, BATCH)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            found = scores(train, chosen)

        loss = cross_entropy(found.float(), train.targets[chosen], label_smoothing=SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

    with torch.no_grad():
        right = [
            scores(test, part).argmax(1) == test.targets[part] for part in torch.arange(len(test.targets)).split(BATCH)
        ]

    return torch.cat(right).double().mean().item()


def main() -> None:
    """Build, train and save."""
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=here / "data" / "seed0")
    parser.add_argument("--output", type=Path, default=here / "work" / "seed0" / "tower")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    require_sources()
    torch.manual_seed(arguments.seed)
    model, tokenizer = build_model()
    processor = build_processor(tokenizer)
    accuracy = train_tower(model, arguments.data, processor)
    model.save_pretrained(arguments.output)
    processor.save_pretrained(arguments.output)
    (arguments.output / CLASSIFIER_REPORT).write_text(json.dumps({"test_accuracy": accuracy}) + "\n", encoding="utf-8")
    print(f"The tower names {accuracy:.1%} of the test images. Wrote {arguments.output}.")


if __name__ == "__main__":
    main()
