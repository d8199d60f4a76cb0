"""Runs whose rows share prefixes: the diagnosis, by likelihood and generated, and what they report."""

import json

import pytest
import torch
from helpers.runs import recipe
from helpers.tiny_models import FAMILIES
from llamafactory.train.tuner import run_exp
from torch.nn.modules.module import register_module_forward_pre_hook


@pytest.fixture
def widths():
    """(rows, tokens) of everything that a decoder's first layer computes."""
    seen = []

    def note(module, args):
        if (
            type(module).__name__ in ("Qwen2_5_VLDecoderLayer", "LlamaDecoderLayer")
            and module.self_attn.layer_idx == 0
        ):
            seen.append(tuple(args[0].shape[:2]))

    handle = register_module_forward_pre_hook(note)
    yield seen
    handle.remove()


def diagnose(checkpoint, family, datasets, folder, **keys):
    defaults = dict(
        do_train=False, do_eval=True, dataset=None, eval_dataset="pictures,sums,both", max_steps=None,
        per_device_eval_batch_size=4, overwrite_output_dir=True,
    )  # fmt: skip
    run_exp(recipe(checkpoint(family), FAMILIES[family].template, datasets, folder, **defaults | keys))
    rows = [json.loads(line) for line in (folder / "interference_rows.jsonl").read_text().splitlines()]
    return {(row["dataset"], row["row"], row["perturbation"]): row for row in rows}


SCORINGS = {
    "likelihood": {},
    "generate": dict(diagnosis_scoring="generate", predict_with_generate=True, max_new_tokens=4),
}


@pytest.mark.parametrize("family", ["qwen2_5_vl", "llava"])
@pytest.mark.parametrize("scoring", SCORINGS)
def test_the_diagnosis_computes_common_prefixes_once_and_finds_the_same(
    checkpoint, datasets, tmp_path, widths, family, scoring
):
    apart = diagnose(checkpoint, family, datasets, tmp_path / "apart", share_prefix=False, **SCORINGS[scoring])
    tokens = sum(rows * length for rows, length in widths if length > 1)
    assert all(rows > 1 for rows, _ in widths)
    widths.clear()
    shared = diagnose(checkpoint, family, datasets, tmp_path / "shared", share_prefix=True, **SCORINGS[scoring])
    prompts = [length for rows, length in widths if rows == 1]
    assert prompts and sum(prompts) < 0.7 * tokens
    assert {place: row.get("answer") for place, row in shared.items()} == {
        place: row.get("answer") for place, row in apart.items()
    }
    for place, row in apart.items():
        if "causal_effect" in row:
            assert shared[place]["causal_effect"] == pytest.approx(row["causal_effect"], abs=1e-5)


def test_training_says_once_that_rows_are_computed_apart(checkpoint, datasets, tmp_path, caplog, monkeypatch):
    """An attention kernel without prefix sharing: the run goes on with padded rows."""
    from modality_interference.attention import packing as support

    monkeypatch.setattr(support, "KERNELS", ("flash_attention_9",))
    widths = []
    handle = register_module_forward_pre_hook(
        lambda module, args: widths.append(args[0].shape[0]) if type(module).__name__ == "LlamaDecoderLayer" else None
    )
    monkeypatch.setattr(support.logger, "propagate", True)
    try:
        run_exp(recipe(checkpoint("llava"), FAMILIES["llava"].template, datasets, tmp_path / "out"))
    finally:
        handle.remove()

    assert max(widths) > 1
    said = [record.message for record in caplog.records if "Prefix sharing is off" in record.message]
    assert len(said) == 1 and "the attention kernel `sdpa` does not support it" in said[0]
    assert torch.isfinite(torch.tensor(json.loads((tmp_path / "out" / "all_results.json").read_text())["train_loss"]))
