"""What is computed once, or not at all: checked by counting calls and rows, never by timing."""

import pytest
import torch
from helpers.prefixes import attack_prefix, copy_signature, distinct, signature
from helpers.runs import recipe
from helpers.tiny_models import FAMILIES
from llamafactory.train.tuner import run_exp
from transformers import TrainerCallback

from modality_interference.batching.batch import TwinBatch


STEPS = 2  # ascent steps K


class Count(TrainerCallback):
    """Counts what one training step does."""

    def on_step_begin(self, args, state, control, model=None, **kwargs):
        self.vision_calls, self.vision_items, self.head_rows, self.decoder_rows, self.parameter_gradients = (
            [],
            [],
            [],
            [],
            [],
        )
        self.in_training_forward = False
        embedder = next(
            module for module in _vision(model).modules() if isinstance(module, (torch.nn.Conv2d, torch.nn.Conv3d))
        )
        embedder.register_forward_pre_hook(lambda module, args: self.vision_items.append(args[0].shape[0]))
        model.get_output_embeddings().register_forward_hook(
            lambda module, args, output: self.head_rows.append(output.shape[:-1].numel())
        )
        model.get_decoder().layers[0].register_forward_pre_hook(
            lambda module, args: self.decoder_rows.append(tuple(args[0].shape[:2]))
        )
        self.vision_blocks = []
        block = next(module for name, module in _vision(model).named_modules() if name.endswith("mlp"))
        block.register_forward_hook(lambda module, args, output: self.vision_blocks.append(len(args[0])))
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.register_hook(lambda gradient: self.parameter_gradients.append(len(self.decoder_rows)))

    def on_train_begin(self, args, state, control, train_dataloader=None, **kwargs):
        dataset = train_dataloader.dataset
        batch = train_dataloader.collate_fn([dataset[index] for index in range(args.per_device_train_batch_size)])
        self.batch = TwinBatch.split(batch)


def _vision(model):
    return model.model.visual if hasattr(model.model, "visual") else model.model.vision_tower


def run(family, checkpoint, datasets, folder, **keys):
    count = Count()
    defaults = dict(
        disable_shuffling=True,
        per_device_train_batch_size=4,
        adversarial_steps=STEPS,
        disable_gradient_checkpointing=True,
    )
    template = FAMILIES[family].template
    run_exp(recipe(checkpoint(family), template, datasets, folder / "out", **{**defaults, **keys}), callbacks=[count])
    return count


FROZEN = dict(freeze_vision_tower=True, freeze_multi_modal_projector=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_step_with_pgd_costs(family, checkpoint, datasets, tmp_path):
    count = run(family, checkpoint, datasets, tmp_path, share_prefix=True, **FROZEN)
    batch = count.batch
    rows, copies = range(len(batch.labels)), batch.masked_rows.tolist()
    answers = int(batch.answer_positions.sum())
    answers_of_copies = int(batch.answer_positions[copies].sum())

    # 1. and 2.: as below. The attack's prefixes are computed once for all steps
    assert len(count.vision_items) == 1
    assert count.head_rows == [1, *[answers_of_copies] * STEPS, answers + answers_of_copies]
    assert set(count.parameter_gradients) == {STEPS + 2}
    before = distinct([attack_prefix(batch, row) for row in copies])
    behind = sum(len(signature(batch, row)) - len(attack_prefix(batch, row)) for row in copies)
    all_rows = [signature(batch, row) for row in rows] + [copy_signature(batch, row) for row in copies]
    assert count.decoder_rows == [(1, before), *[(1, behind)] * STEPS, (1, distinct(all_rows))]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_step_with_pgd_costs_with_rows_apart(family, checkpoint, datasets, tmp_path):
    count = run(family, checkpoint, datasets, tmp_path, share_prefix=False, **FROZEN)
    batch = count.batch
    rows, copies = len(batch.labels), len(batch.masked_rows)
    answers = int(batch.answer_positions.sum())
    answers_of_copies = int(batch.answer_positions[batch.masked_rows].sum())
    tokens = batch.labels.shape[1]

    # 1. the frozen vision tower: once for the whole step, attack included, and each image once
    assert len(count.vision_items) == 1
    # 2. the head: answer positions only (and the one token of the capturing forward)
    assert count.head_rows == [1, *[answers_of_copies] * STEPS, answers + answers_of_copies]
    # 3. no parameter gradients from the attack: all come after the training forward has begun
    assert set(count.parameter_gradients) == {STEPS + 2}
    # 4. the decoder: nothing for the capture, rows with a mask in the attack, rows and copies in the training forward
    assert count.decoder_rows == [(1, 1), *[(copies, tokens)] * STEPS, (rows + copies, tokens)]


@pytest.mark.parametrize(
    ("frozen_tower", "method", "calls"),
    [(True, "pgd", 1), (False, "pgd", 2), (True, "freelb", 1), (False, "freelb", 3)],
)
def test_vision_calls_with_a_trainable_projector_or_tower(frozen_tower, method, calls, checkpoint, datasets, tmp_path):
    """Freelb trains in each of its ascent steps, here 3; a tower that trains is needed in each."""
    keys = dict(freeze_vision_tower=frozen_tower, adversarial_method=method)
    count = run("qwen2_5_vl", checkpoint, datasets, tmp_path, **keys, adversarial_steps=3)
    assert len(count.vision_items) == calls
    assert len(count.vision_blocks) == calls


def test_a_shared_image_is_encoded_once(checkpoint, datasets, tmp_path):
    """4 clean rows with an image, each with two text twins: 4 images, not 12."""
    count = run("gemma3", checkpoint, datasets, tmp_path, dataset="pictures", **FROZEN)
    assert len(count.batch.labels) == 12
    assert count.vision_items == [4]


def test_a_canvas_of_several_examples_is_encoded_once(checkpoint, datasets, tmp_path):
    """4 sums, each with a twin of noise and a black one: 4 canvases of noise, one black."""
    count = run("gemma3", checkpoint, datasets, tmp_path, dataset="sums", **FROZEN)
    assert len(count.batch.labels) == 12
    assert count.vision_items == [5]


@pytest.mark.parametrize("keys", [dict(dataset="both"), dict(adversarial_method="none"), dict(adversarial_weight=0.0)])
def test_without_anything_to_attack_there_is_one_forward(keys, checkpoint, datasets, tmp_path):
    count = run("llava", checkpoint, datasets, tmp_path, **keys)
    assert len(count.decoder_rows) == 1 and len(count.vision_items) == 1


@pytest.mark.parametrize(("limit", "passes"), [(1, "rows"), (4, "fours"), (1000, "all")])
def test_the_attack_takes_as_many_rows_at_a_time_as_it_may(limit, passes, checkpoint, datasets, tmp_path):
    count = run("llava", checkpoint, datasets, tmp_path, adversarial_rows_per_pass=limit, share_prefix=False)
    copies = len(count.batch.masked_rows)
    sizes = {"rows": [1] * copies, "fours": [4] * (copies // 4) + [copies % 4] * (copies % 4 > 0), "all": [copies]}
    assert copies > 4
    assert [decoder[0] for decoder in count.decoder_rows[1:-1]] == sizes[passes] * STEPS


def test_gaussian_needs_no_forward_of_its_own(checkpoint, datasets, tmp_path):
    count = run("llava", checkpoint, datasets, tmp_path, adversarial_method="gaussian", share_prefix=False)
    rows = len(count.batch.labels) + len(count.batch.masked_rows)
    assert [decoder[0] for decoder in count.decoder_rows] == [rows]


def test_freelb_trains_in_every_ascent_step(checkpoint, datasets, tmp_path):
    keys = dict(adversarial_method="freelb", adversarial_steps=3, share_prefix=False)
    count = run("llava", checkpoint, datasets, tmp_path, **keys)
    rows, copies = len(count.batch.labels), len(count.batch.masked_rows)
    assert [decoder[0] for decoder in count.decoder_rows] == [copies, copies, rows + copies]
    assert set(count.parameter_gradients) == {1, 2, 3}


def test_freelb_climbs_beside_a_frozen_tower_whose_embedding_peft_made_to_need_a_gradient(
    checkpoint, datasets, tmp_path
):
    """LoRA on the projector; gradient checkpointing has PEFT set `requires_grad` inside of the frozen tower."""
    lora = dict(finetuning_type="lora", lora_rank=2, lora_target="q_proj,linear_1,linear_2", freeze_vision_tower=True)
    keys = dict(adversarial_method="freelb", adversarial_steps=3, max_steps=2, dataset="pictures", **lora)
    run_exp(recipe(checkpoint("llava"), "llava", datasets, tmp_path, **keys))
    assert (tmp_path / "adapter_model.safetensors").exists()
