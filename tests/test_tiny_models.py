"""Stock LLaMA-Factory trains every tiny model, and the models are what `tiny_models.FAMILIES` says of them."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny_models import FAMILIES, build, make_tokenizer
from llamafactory.data import SFTDataCollatorWith4DAttentionMask, get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import get_train_args
from llamafactory.model import load_model, load_tokenizer
from llamafactory.train.tuner import run_exp
from PIL import Image
from torch import nn
from transformers import AutoModelForImageTextToText, AutoTokenizer, PreTrainedModel


IMAGE_SIZES = [(32, 32), (48, 40), (90, 30), (200, 160), (30, 90), (64, 64)]  # width, height
ROWS = [
    *({"instruction": "<image>What is shown?", "output": f"digit {i}", "images": [f"{i}.png"]} for i in range(4)),
    {"instruction": "<image>A and <image>B: which is it?", "output": "The second one.", "images": ["4.png", "5.png"]},
    {"instruction": "What is 4 plus 5?", "output": "9", "images": []},
]
IMAGES_PER_ROW = [len(row["images"]) for row in ROWS]

every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="session")
def dataset_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of four rows with an image each, one row with two images and one row without."""
    folder = tmp_path_factory.mktemp("dataset")
    noise = np.random.default_rng(0)
    for i, (width, height) in enumerate(IMAGE_SIZES):
        Image.fromarray(noise.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    columns = {"prompt": "instruction", "response": "output", "images": "images"}
    info = {"tiny": {"file_name": "rows.json", "formatting": "alpaca", "columns": columns}}
    (folder / "rows.json").write_text(json.dumps(ROWS))
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


def recipe(family: str, checkpoint: Path, dataset_dir: Path, output_dir: Path, **keys: Any) -> dict[str, Any]:
    return {
        "stage": "sft",
        "do_train": True,
        "model_name_or_path": str(checkpoint),
        "template": FAMILIES[family].template,
        "finetuning_type": "full",
        "freeze_vision_tower": False,
        "freeze_multi_modal_projector": False,
        "dataset": "tiny",
        "dataset_dir": str(dataset_dir),
        "media_dir": str(dataset_dir),
        "cache_dir": str(dataset_dir / "cache"),
        "cutoff_len": 512,
        "output_dir": str(output_dir),
        "overwrite_output_dir": True,
        "learning_rate": 1e-3,
        "use_cpu": True,
        "bf16": False,
        "fp16": False,
        "disable_gradient_checkpointing": True,
        "report_to": "none",
        **keys,
    }


def load_for_training(recipe: dict[str, Any]) -> tuple[PreTrainedModel, dict[str, torch.Tensor]]:
    """Load the model as LLaMA-Factory does, with all rows of the dataset as one batch."""
    model_args, data_args, training_args, finetuning_args, _ = get_train_args(recipe)
    tokenizer_module = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(tokenizer_module["tokenizer"], data_args)
    dataset = get_dataset(template, model_args, data_args, training_args, stage="sft", **tokenizer_module)
    model = load_model(tokenizer_module["tokenizer"], model_args, finetuning_args, is_trainable=True)
    collator = SFTDataCollatorWith4DAttentionMask(
        template=template, model=model, label_pad_token_id=-100, **tokenizer_module
    )
    return model, collator(list(dataset["train_dataset"]))


def record_calls(module: nn.Module) -> list[dict[str, Any]]:
    """Collect the keyword arguments of every later call of a module."""
    calls: list[dict[str, Any]] = []
    module.register_forward_pre_hook(lambda _module, _args, kwargs: calls.append(kwargs), with_kwargs=True)
    return calls


def changed(before: nn.Module, after: nn.Module) -> bool:
    return any(not torch.equal(old, new) for old, new in zip(before.parameters(), after.parameters(), strict=True))


@every_family
@pytest.mark.parametrize("batch_size", [1, len(ROWS)])  # 1: the text-only row gets LLaMA-Factory's dummy image
def test_stock_llamafactory_trains_it(
    family: str, batch_size: int, checkpoints: Path, dataset_dir: Path, tmp_path: Path
) -> None:
    checkpoint = build(family, checkpoints)
    steps = len(ROWS) // batch_size
    run_exp(recipe(family, checkpoint, dataset_dir, tmp_path, per_device_train_batch_size=batch_size, max_steps=steps))

    results = json.loads((tmp_path / "all_results.json").read_text())
    assert results["epoch"] == 1.0
    assert math.isfinite(results["train_loss"])
    before = AutoModelForImageTextToText.from_pretrained(checkpoint)
    after, loading = AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    for path in (FAMILIES[family].vision_tower, FAMILIES[family].projector, "model.language_model"):
        assert changed(before.get_submodule(path), after.get_submodule(path)), path


@every_family
def test_decoder_gets_what_the_family_declares(
    family: str, checkpoints: Path, dataset_dir: Path, tmp_path: Path
) -> None:
    definition = FAMILIES[family]
    model, batch = load_for_training(recipe(family, build(family, checkpoints), dataset_dir, tmp_path))
    vision_calls = record_calls(model.get_submodule(definition.vision_tower))
    projector_calls = record_calls(model.get_submodule(definition.projector))
    decoder_calls = record_calls(model.get_decoder())
    assert math.isfinite(model(**batch).loss.item())

    assert len(vision_calls) == len(projector_calls) == len(decoder_calls) == 1
    position_ids = decoder_calls[0]["position_ids"]
    batch_shape = batch["input_ids"].shape
    assert (position_ids.shape == (4, *batch_shape)) if definition.mrope else position_ids is None
    assert bool(decoder_calls[0].get("deepstack_visual_embeds")) == definition.deepstack


@every_family
def test_token_type_ids_are_needed_where_declared(
    family: str, checkpoints: Path, dataset_dir: Path, tmp_path: Path
) -> None:
    model, batch = load_for_training(recipe(family, build(family, checkpoints), dataset_dir, tmp_path))
    token_type_ids = batch.pop("token_type_ids", None)
    assert (token_type_ids is not None) == FAMILIES[family].needs_token_type_ids
    if FAMILIES[family].needs_token_type_ids:
        with pytest.raises(ValueError, match="token_type_ids"):
            model(**batch)
    else:
        model(**batch)


@every_family
def test_images_are_few_tokens_that_move_the_answer(
    family: str, checkpoints: Path, dataset_dir: Path, tmp_path: Path
) -> None:
    checkpoint = build(family, checkpoints)
    model, batch = load_for_training(recipe(family, checkpoint, dataset_dir, tmp_path))
    image_token_id = AutoTokenizer.from_pretrained(checkpoint).convert_tokens_to_ids(FAMILIES[family].image_token)
    for tokens, images in zip((batch["input_ids"] == image_token_id).sum(dim=1), IMAGES_PER_ROW, strict=True):
        assert 4 * images <= tokens <= 16 * images

    model.eval()
    with torch.no_grad():
        logits = model(**batch).logits
        other_logits = model(**{**batch, "pixel_values": -batch["pixel_values"]}).logits
    is_answer = batch["labels"] != -100
    for row, images in enumerate(IMAGES_PER_ROW):
        difference = (logits - other_logits)[row, is_answer[row]].abs().max()
        assert (difference > 0.1) if images else (difference == 0)


def test_qwen2_5_vl_has_a_windowed_and_a_full_vision_block(
    checkpoints: Path, dataset_dir: Path, tmp_path: Path
) -> None:
    model, batch = load_for_training(recipe("qwen2_5_vl", build("qwen2_5_vl", checkpoints), dataset_dir, tmp_path))
    windowed, full = (record_calls(block) for block in model.model.visual.blocks)
    model(**batch)
    images = sum(IMAGES_PER_ROW)
    assert len(full[0]["cu_seqlens"]) - 1 == images
    assert len(windowed[0]["cu_seqlens"]) - 1 > images


@every_family
@pytest.mark.parametrize(
    "text",
    ["What is shown? It's a dog.", "4 + 15 = 19", '{"answer": "A",\n  "n": [1, 2]}', "naïve 书生 \U0001f600\t\n "],
)
def test_saved_tokenizer_round_trips(family: str, text: str, checkpoints: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(build(family, checkpoints))
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


@every_family
def test_special_tokens_and_digits_are_single_tokens(family: str, checkpoints: Path) -> None:
    definition = FAMILIES[family]
    tokens = [*definition.named_tokens.values(), *definition.special_tokens, *"0123456789"]
    for tokenizer in (make_tokenizer(definition), AutoTokenizer.from_pretrained(build(family, checkpoints))):
        token_ids = tokenizer("".join(tokens), add_special_tokens=False).input_ids
        assert tokenizer.convert_ids_to_tokens(token_ids) == tokens
        assert {role: getattr(tokenizer, role) for role in definition.named_tokens} == definition.named_tokens


@every_family
def test_checkpoint_depends_on_the_seed_alone(family: str, checkpoints: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    random_state = torch.get_rng_state()
    first, again, other = (
        {path.name: path.read_bytes() for path in build(family, folder, seed).iterdir()}
        for folder, seed in ((checkpoints, 0), (tmp_path, 0), (tmp_path, 1))
    )
    assert first == again
    assert [name for name in first if first[name] != other[name]] == ["model.safetensors"]
    assert torch.equal(random_state, torch.get_rng_state())


def test_checkpoint_is_built_once(tmp_path: Path) -> None:
    checkpoint = build("llava", tmp_path)
    times = {path: path.stat().st_mtime_ns for path in checkpoint.iterdir()}
    assert build("llava", tmp_path) == checkpoint
    assert {path: path.stat().st_mtime_ns for path in checkpoint.iterdir()} == times
    assert list(tmp_path.iterdir()) == [checkpoint]
