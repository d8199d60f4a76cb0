"""What the benchmarks share: a Qwen2.5-VL of random weights, a batch of known make-up, and trainers as a recipe starts them.

Nothing is downloaded. Rows go the way that a user's rows go: a `dataset_dir` in a temporary folder, LLaMA-Factory's own
`run_exp`, the plugin's processor, collator and trainer. A run is stopped at its first training step, or evaluation, which
benchmarks then repeat.
"""

import json
import random
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from llamafactory.train.tuner import run_exp
from PIL import Image
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Trainer,
)

from modality_interference.attention.packing import shares_prefixes


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
UNKNOWN = "<unk>"
TEMPLATE_WORDS = ("system", "user", "assistant", "You", "are", "a", "helpful", "assistant.", "says", ".")
WORDS = tuple(f"w{number}" for number in range(512))
OPTIONS = ("yes", "no")
NOTES = tuple(f"note{number}" for number in range(64))
SENTENCE = 4  # tokens of "note0 says yes ."
TEMPLATE_TOKENS = 15  # of qwen2_vl around a question with an image; the image's two marks are among them
CANVASES = ("black_image", "white_image", "random_pixels")
RELEVANT = {"image_heavy": "image", "text_heavy": "text", "both": "image,text"}  # what an example's answer depends on
TWINS = "examples"  # the dataset with a `twins` block
PLAIN = "rows"  # the same clean rows and twins as a plain dataset


@dataclass(frozen=True)
class Shape:
    """A Qwen2.5-VL's sizes; what is not named here is as in the published models.

    Attributes:
        text: of the text decoder's config.
        vision: of the vision tower's config.
        dtype: of the weights.
        recipe: keys that runs on this model need.
    """

    text: dict[str, Any]
    vision: dict[str, Any]
    dtype: torch.dtype
    recipe: dict[str, Any]


REFERENCE = Shape(
    text={
        "vocab_size": 32_000,
        "hidden_size": 256,
        "intermediate_size": 704,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [8, 12, 12]},
        "tie_word_embeddings": False,
    },
    vision={"depth": 4, "hidden_size": 128, "intermediate_size": 352, "num_heads": 4, "fullatt_block_indexes": [3]},
    dtype=torch.float32,
    recipe={"use_cpu": True, "disable_gradient_checkpointing": True},
)
SIZE_3B = Shape(
    text={
        "vocab_size": 151_936,
        "hidden_size": 2048,
        "intermediate_size": 11_008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
        "tie_word_embeddings": True,
    },
    vision={"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16},
    dtype=torch.bfloat16,
    recipe={
        "bf16": True,
        "pure_bf16": True,
    },  # and LLaMA-Factory's gradient checkpointing, without which it does not fit
)


@dataclass(frozen=True)
class Mix:
    """What a batch is made of.

    Attributes:
        image_heavy: examples whose answer depends on the image.
        text_twins: twins of each, with a misleading sentence before the question.
        text_heavy: examples without an image.
        image_twins: twins of each, with a canvas beside the question; at most one per kind of canvas.
        both: examples that need image and text, without twins.
        image: width and height of images in tokens.
        text_tokens: tokens of a row with an image that are neither the image's nor the answer's. A clean row of an
            image-heavy example has less, by the sentence; a text-only row by the two marks around an image.
        answer_tokens: of the answer: the option, words after it, and the end of the turn.
        repeats: how many such batches there are.
    """

    image_heavy: int = 2
    text_twins: int = 2
    text_heavy: int = 2
    image_twins: int = 3
    both: int = 4
    image: tuple[int, int] = (8, 8)
    text_tokens: int = 150
    answer_tokens: int = 2
    repeats: int = 1

    @property
    def examples(self) -> int:
        """How many examples a batch has."""
        return self.image_heavy + self.text_heavy + self.both

    @property
    def rows(self) -> int:
        """How many clean rows and twins a batch has."""
        return self.examples + self.image_heavy * self.text_twins + self.text_heavy * self.image_twins


REFERENCE_MIX = Mix()  # 18 rows of 64 + 150 + 2 tokens
CAPTION_MIX = Mix(answer_tokens=200)  # 18 rows of 64 + 150 + 200 tokens
MIX_3B = Mix(image=(30, 23))  # 18 rows of 690 + 150 + 2 tokens
IMAGE_HEAVY_MIX = Mix(image_heavy=8, text_twins=4, text_heavy=0, both=0, image=(16, 16), text_tokens=60)


@dataclass
class Started:
    """A run that was stopped where its first training step begins.

    Attributes:
        trainer: LLaMA-Factory's or the plugin's, ready to train.
        model: as the trainer prepared it.
        inputs: the collated batch.
    """

    trainer: Any
    model: Any
    inputs: dict[str, Any]

    def step(self) -> float:
        """Forward and backward passes of one step on the batch; the gradients are thrown away before.

        Returns:
            the loss.
        """
        totals = self.trainer._get_num_items_in_batch([self.inputs], self.trainer.args.device)
        self.model.zero_grad(set_to_none=True)
        return float(self.trainer.training_step(self.model, dict(self.inputs), totals))


class _Reached(Exception):
    """The run got to where a benchmark takes over."""


def write(folder: Path, shape: Shape, mix: Mix) -> None:
    """Write a checkpoint and a `dataset_dir` with the mix twice: as examples with twins, and all rows as plain ones.

    Args:
        folder: where `model` and `data` go.
        shape: of the model.
        mix: of the rows.
    """
    _write_model(folder / "model", shape)
    (folder / "data").mkdir()
    _write_data(folder / "data", shape, mix)


def recipe(folder: Path, shape: Shape, mix: Mix, **keys: Any) -> dict[str, Any]:
    """A recipe for what `write` has written; a plain one, of which every batch holds all rows of a mix."""
    data, pixels = str(folder / "data"), 4096 * _pixels_per_token(shape) ** 2
    common = {
        "model_name_or_path": str(folder / "model"),
        "template": "qwen2_vl",
        "image_max_pixels": pixels,
        "stage": "sft",
        "finetuning_type": "full",
        "freeze_vision_tower": True,
        "freeze_multi_modal_projector": False,
        "dataset_dir": data,
        "media_dir": data,
        "cutoff_len": 8192,
        "disable_shuffling": True,
        "overwrite_cache": True,
        "output_dir": str(folder / "run"),
        "max_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "seed": 7,
    }
    return common | shape.recipe | keys


def start_stock(folder: Path, shape: Shape, mix: Mix, **keys: Any) -> Started:
    """LLaMA-Factory's SFT on the clean rows and twins as plain rows."""
    plain = {"do_train": True, "dataset": PLAIN, "per_device_train_batch_size": mix.rows}
    return _start(recipe(folder, shape, mix, **plain, **keys))


def start_plugin(folder: Path, shape: Shape, mix: Mix, **keys: Any) -> Started:
    """The plugin's training, before `configure` no more than twins."""
    twins = {"do_train": True, "dataset": TWINS, "per_device_train_batch_size": mix.examples}
    nothing = {"plugin": "modality_interference", "adversarial_method": "none", "consistency_method": "none"}
    return _start(recipe(folder, shape, mix, **twins, **nothing, **keys))


def configure(started: Started, **keys: Any) -> None:
    """Give the plugin's trainer other keys than its recipe had."""
    trainer = started.trainer
    trainer.finetuning_args = copy(trainer.finetuning_args)
    for key, value in keys.items():
        setattr(trainer.finetuning_args, key, value)

    trainer.share_prefix = shares_prefixes(trainer.finetuning_args.share_prefix, trainer.parts.decoder)


def start_evaluation(keys: dict[str, Any]) -> Any:
    """The trainer of a recipe with `do_eval: true`, before its evaluation."""
    reached: list[Any] = []

    def stop(trainer: Any, *args: Any, **kwargs: Any) -> None:
        reached.append(trainer)
        raise _Reached

    with patch.object(Trainer, "evaluate", stop):
        _run_until_reached(keys)

    return reached[0]


def _start(keys: dict[str, Any]) -> Started:
    reached: list[Started] = []

    def stop(trainer: Any, model: Any, inputs: dict[str, Any], *args: Any) -> None:
        reached.append(Started(trainer, model, inputs))
        raise _Reached

    with patch.object(Trainer, "training_step", stop):
        _run_until_reached(keys)

    return reached[0]


def _run_until_reached(keys: dict[str, Any]) -> None:
    try:
        run_exp(keys)
    except _Reached:
        return

    raise SystemExit("The run ended before the benchmark could take over.")


def _pixels_per_token(shape: Shape) -> int:
    """The side of the square that one image token stands for."""
    return shape.vision.get("patch_size", 14) * 2


def _write_model(folder: Path, shape: Shape) -> None:
    tokenizer = _tokenizer()
    token_id = tokenizer.convert_tokens_to_ids
    ids = {"bos_token_id": 0, "eos_token_id": token_id("<|im_end|>"), "pad_token_id": token_id("<|endoftext|>")}
    config = Qwen2_5_VLConfig(
        text_config={"max_position_embeddings": 32_768, **shape.text, **ids},
        vision_config={**shape.vision, "out_hidden_size": shape.text["hidden_size"]},
        image_token_id=token_id("<|image_pad|>"),
        video_token_id=token_id("<|video_pad|>"),
        vision_start_token_id=token_id("<|vision_start|>"),
        vision_end_token_id=token_id("<|vision_end|>"),
        tie_word_embeddings=shape.text["tie_word_embeddings"],
    )
    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(shape.dtype)
    try:
        Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)
    finally:
        torch.set_default_dtype(default)

    side = _pixels_per_token(shape)
    size = {"shortest_edge": side * side, "longest_edge": 4096 * side * side}
    patches = {"patch_size": side // 2, "merge_size": 2, "temporal_patch_size": 2}
    Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size, **patches),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=size, **patches),
    ).save_pretrained(folder)


def _tokenizer() -> PreTrainedTokenizerFast:
    """Every word is one token, so that rows have exactly as many tokens as they shall."""
    words = [*SPECIAL_TOKENS, UNKNOWN, *TEMPLATE_WORDS, *OPTIONS, *NOTES, *WORDS]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=UNKNOWN,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL_TOKENS[1:]),
    )


def _write_data(folder: Path, shape: Shape, mix: Mix) -> None:
    side = _pixels_per_token(shape)
    size = (mix.image[0] * side, mix.image[1] * side)
    for name, colour in (("black_image", "black"), ("white_image", "white")):
        Image.new("RGB", size, colour).save(folder / f"{name}.png")

    examples, rng = [], random.Random(0)
    for batch in range(mix.repeats):
        for kind, relevant in RELEVANT.items():
            for number in range(getattr(mix, kind)):
                examples.append(_example(f"{kind}_{batch}_{number}", relevant, mix, size, rng, folder))

    columns = {"prompt": "prompt", "response": "response", "images": "images"}
    notes = [{"name": "misleading_text", "template": _sentence(note, "{option}")} for note in range(mix.text_twins)]
    canvases = [{"name": name, "size": size} for name in CANVASES[: mix.image_twins]]
    info = {
        TWINS: {
            "file_name": f"{TWINS}.json",
            "formatting": "alpaca_twins",
            "columns": columns | {"choices": "choices", "answer": "answer"},
            "twins": {"relevant": "relevant", "perturbations": [*notes, *canvases]},
        },
        PLAIN: {"file_name": f"{PLAIN}.json", "columns": columns},
    }
    plain = [row for example in examples for row in _plain(example, mix, size, rng, folder)]
    for name, rows in ((TWINS, examples), (PLAIN, plain), ("dataset_info", info)):
        (folder / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")


def _example(
    name: str, relevant: str, mix: Mix, size: tuple[int, int], rng: random.Random, folder: Path
) -> dict[str, Any]:
    sentence = SENTENCE if relevant == RELEVANT["image_heavy"] and mix.text_twins else 0
    question = " ".join(rng.choices(WORDS, k=mix.text_tokens - TEMPLATE_TOKENS - sentence))
    right = rng.randrange(2)
    images = [] if relevant == RELEVANT["text_heavy"] else [_noise(name, size, rng, folder)]
    return {
        "prompt": "<image>" * len(images) + question,
        "response": " ".join([OPTIONS[right], *rng.choices(WORDS, k=mix.answer_tokens - 2)]),
        "images": images,
        "choices": list(OPTIONS),
        "answer": "AB"[right],
        "relevant": relevant,
    }


def _noise(name: str, size: tuple[int, int], rng: random.Random, folder: Path) -> str:
    """An image of its own."""
    Image.frombytes("RGB", size, rng.randbytes(3 * size[0] * size[1])).save(folder / f"{name}.png")
    return f"{name}.png"


def _sentence(note: int, option: str) -> str:
    return f"{NOTES[note]} says {option} ."


def _plain(
    example: dict[str, Any], mix: Mix, size: tuple[int, int], rng: random.Random, folder: Path
) -> Iterator[dict[str, Any]]:
    """A clean row and its twins, with the texts that the plugin makes and images of the same size."""
    row = {key: example[key] for key in ("prompt", "response", "images")}
    yield row
    if example["relevant"] == RELEVANT["image_heavy"]:
        wrong = next(option for option in OPTIONS if option != row["response"].split()[0])
        question = row["prompt"].removeprefix("<image>")
        for note in range(mix.text_twins):
            yield row | {"prompt": f"<image>{_sentence(note, wrong)}\n{question}"}

    if example["relevant"] == RELEVANT["text_heavy"]:
        own = _noise(f"random_pixels_{len(list(folder.glob('*.png')))}", size, rng, folder)
        for canvas in CANVASES[: mix.image_twins]:
            image = own if canvas == "random_pixels" else f"{canvas}.png"
            yield row | {"prompt": f"<image>{row['prompt']}", "images": [image]}
