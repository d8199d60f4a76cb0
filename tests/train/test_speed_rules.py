"""The four speed rules of DESIGN section 4, by counting calls and rows, never by timing."""

import pytest
import torch
from llamafactory.train.tuner import run_exp
from runs import recipe
from tiny_models import FAMILIES
from transformers import TrainerCallback

from modality_interference.batch import TwinBatch


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


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_step_with_pgd_costs(family, checkpoint, datasets, tmp_path):
    count = run(family, checkpoint, datasets, tmp_path, freeze_vision_tower=True, freeze_multi_modal_projector=True)
    batch = count.batch
    rows, copies = len(batch.labels), len(batch.masked_rows)
    answers = int(batch.answer_positions.sum())
    answers_of_copies = int(batch.answer_positions[batch.masked_rows].sum())
    tokens = batch.labels.shape[1]

    # 1. the frozen vision tower: once for the whole step, attack included, and each picture once
    assert len(count.vision_items) == 1
    # 2. the head: answer positions only (and the one token of the capturing forward)
    assert count.head_rows == [1, *[answers_of_copies] * STEPS, answers + answers_of_copies]
    # 3. no parameter gradients from the attack: all come after the training forward has begun
    assert set(count.parameter_gradients) == {STEPS + 2}
    # 4. the decoder: nothing for the capture, rows with a mask in the attack, rows and copies in the training forward
    assert count.decoder_rows == [(1, 1), *[(copies, tokens)] * STEPS, (rows + copies, tokens)]


@pytest.mark.parametrize(("frozen_tower", "calls"), [(True, 1), (False, 2)])
def test_vision_calls_with_a_trainable_projector_or_tower(frozen_tower, calls, checkpoint, datasets, tmp_path):
    count = run("qwen2_5_vl", checkpoint, datasets, tmp_path, freeze_vision_tower=frozen_tower)
    assert len(count.vision_items) == calls


def test_a_shared_picture_is_encoded_once(checkpoint, datasets, tmp_path):
    """4 clean rows with a picture, each with two text twins: 4 pictures, not 12."""
    keys = dict(dataset="pictures", freeze_vision_tower=True, freeze_multi_modal_projector=True)
    count = run("gemma3", checkpoint, datasets, tmp_path, **keys)
    assert len(count.batch.labels) == 12
    assert count.vision_items == [4]


@pytest.mark.parametrize("keys", [dict(dataset="both"), dict(adversarial_method="none"), dict(adversarial_weight=0.0)])
def test_without_anything_to_attack_there_is_one_forward(keys, checkpoint, datasets, tmp_path):
    count = run("llava", checkpoint, datasets, tmp_path, **keys)
    assert len(count.decoder_rows) == 1 and len(count.vision_items) == 1


def test_gaussian_needs_no_forward_of_its_own(checkpoint, datasets, tmp_path):
    count = run("llava", checkpoint, datasets, tmp_path, adversarial_method="gaussian")
    rows = len(count.batch.labels) + len(count.batch.masked_rows)
    assert [decoder[0] for decoder in count.decoder_rows] == [rows]


def test_freelb_trains_in_every_ascent_step(checkpoint, datasets, tmp_path):
    count = run("llava", checkpoint, datasets, tmp_path, adversarial_method="freelb", adversarial_steps=3)
    rows, copies = len(count.batch.labels), len(count.batch.masked_rows)
    assert [decoder[0] for decoder in count.decoder_rows] == [copies, copies, rows + copies]
    assert set(count.parameter_gradients) == {1, 2, 3}
