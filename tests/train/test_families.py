"""The decoder hook and the attack on every family, and a whole training step with everything on."""

import copy

import pytest
import torch
from helpers.av_data import write_clips
from helpers.family_cases import ALL, COMMON, IMAGES, NOT_CHECKPOINTED, NOT_SHARING, WHOLE
from helpers.runs import recipe
from llamafactory.train.tuner import run_exp
from transformers import TrainerCallback
from transformers.modeling_layers import GradientCheckpointingLayer

from modality_interference.attention.packing import obstacle, shares_prefixes
from modality_interference.attention.prefix import CommonPrefixes
from modality_interference.attention.row_attention import RowAttention
from modality_interference.batching.answer_logits import Answers
from modality_interference.batching.batch import TwinBatch
from modality_interference.train.answer_losses import cross_entropy
from modality_interference.train.attack import Attack, Perturbation
from modality_interference.train.hooks import perturb
from modality_interference.train.losses import EVIDENCE_MARGIN, LOGGED, LOSS_ALIGNMENT, LOSS_COUNTERFACTUAL


class KeepBatch(TrainerCallback):
    """Keeps the model and a training batch of all three kinds."""

    def on_train_begin(self, args, state, control, model=None, train_dataloader=None, **kwargs):
        dataset = train_dataloader.dataset
        kinds = {(dataset[index]["dataset"], dataset[index]["relevant"]): index for index in range(len(dataset))}
        examples = [dataset[index] for index in kinds.values()]
        self.batch = TwinBatch.split(train_dataloader.collate_fn(copy.deepcopy(examples)))
        self.alone = [TwinBatch.split(train_dataloader.collate_fn([copy.deepcopy(example)])) for example in examples]
        self.model = model

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            self.logs = dict(logs)


def name_of(case):
    family, data = case
    return f"{family}-{data['dataset']}{'-interleaved' if 'use_audio_in_video' in data else ''}"


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def equal_clips(tmp_path_factory):
    """Of one length, as LLaVA-NeXT-Video and Gemma 4 need them in a batch."""
    return write_clips(tmp_path_factory.mktemp("equal"), longer=0)


CASES = [
    *[pytest.param(case, id=name_of(case)) for case in COMMON],
    *[pytest.param(case, id=name_of(case), marks=pytest.mark.engines) for case in WHOLE],
]


@pytest.fixture(scope="module", params=CASES)
def family(request, checkpoint, datasets, clips, equal_clips, tmp_path_factory):
    """One real step of a family through `run_exp`, and what it left behind."""
    from modality_interference.train.hooks import ModelParts

    kept = KeepBatch()
    name, data = request.param
    kept.name = name
    output = tmp_path_factory.mktemp(name)
    clips = equal_clips if name in ("llava_next_video", "video_llava", "gemma4", "gemma4n") else clips
    folder = datasets if data is IMAGES else clips
    keys = recipe(
        checkpoint(name), ALL[name].template, folder, output / "out", **data,
        adversarial_epsilon=0.05, adversarial_step_size=0.05, adversarial_steps=3, adversarial_update="sign",
    )  # fmt: skip
    run_exp(keys, callbacks=[kept])
    kept.parts = ModelParts.of(kept.model)
    known = {"adversarial_method": "pgd", "adversarial_rows_per_pass": 0, "epsilon": keys["adversarial_epsilon"]}
    kept.arguments = type("Arguments", (), keys | known)
    kept.model.eval()
    return kept


def logits(family, batch, edit=None, parts=True):
    positions = batch.answer_positions
    images = family.parts.media_features(batch.feature_index)
    with torch.no_grad(), family.parts.hooked(edit, positions, images):
        return family.model(**batch.inputs, use_cache=False).logits


def attack(family, seed=0):
    return Attack(family.model, family.parts, family.arguments, (seed,))


def test_a_step_with_everything_on(family):
    logged = set(LOGGED) - {LOSS_ALIGNMENT, LOSS_COUNTERFACTUAL, EVIDENCE_MARGIN}  # which are off
    assert logged <= set(family.logs)
    assert all(torch.isfinite(torch.tensor(family.logs[name])) for name in ("loss", *logged))
    expected = family.logs["loss_sft"] + family.logs["loss_adversarial"] + family.logs["loss_consistency"]
    assert family.logs["loss"] == pytest.approx(expected, rel=1e-5)


def test_zero_delta_gives_the_clean_logits_exactly(family):
    rows = torch.arange(len(family.batch.labels))
    zero = torch.zeros(int(family.batch.perturbation_mask.sum()), family.parts.width)

    def edit(kwargs):
        embeds = kwargs["inputs_embeds"]
        return {**kwargs, "inputs_embeds": perturb(embeds, family.batch.perturbation_mask[rows], zero)}

    assert torch.equal(logits(family, family.batch, edit), logits(family, family.batch))


def test_delta_on_masked_out_positions_changes_nothing(family):
    mask = family.batch.perturbation_mask
    delta = torch.randn(int(mask.sum()), family.parts.width)

    def edit(kwargs):
        embeds = perturb(kwargs["inputs_embeds"], mask, delta)
        assert torch.equal(embeds[~mask], kwargs["inputs_embeds"][~mask])
        return {**kwargs, "inputs_embeds": embeds}

    clean = logits(family, family.batch)
    row = Answers.of(clean, family.batch.labels).row
    changed = (logits(family, family.batch, edit) != clean).any(dim=1)
    attacked = torch.isin(row, family.batch.masked_rows)
    assert changed[attacked].all() and not changed[~attacked].any()


def test_shared_images_give_the_logits_of_repeated_ones(family):
    """Rows of a batch, images encoded once, equal each example alone up to the padding's rounding."""
    together = Answers.of(logits(family, family.batch), family.batch.labels)
    alone = [Answers.of(logits(family, batch), batch.labels).logits for batch in family.alone]
    torch.testing.assert_close(together.logits, torch.cat(alone), atol=2e-4, rtol=1e-3)
    assert (family.batch.media_index is None) == (family.name in ("qwen2_audio", "instructblip"))


def test_copies_behind_the_batch_equal_copies_in_its_place(family):
    from modality_interference.train.decoder_inputs import append_rows

    batch, rows = family.batch, family.batch.masked_rows
    mask = batch.perturbation_mask[rows]
    perturbation = Perturbation(rows, mask, torch.randn(int(mask.sum()), family.parts.width))
    total = len(batch.labels)

    def append(kwargs):
        embeds = kwargs["inputs_embeds"]
        return {
            **append_rows(kwargs, rows, total),
            "inputs_embeds": torch.cat([embeds, perturbation.on(embeds[rows])]),
        }

    def replace(kwargs):
        embeds = kwargs["inputs_embeds"].clone()
        embeds[rows] = perturbation.on(embeds[rows])
        return {**kwargs, "inputs_embeds": embeds}

    positions = torch.cat([batch.answer_positions, batch.answer_positions[rows]])
    with torch.no_grad(), family.parts.hooked(append, positions, family.parts.media_features(batch.feature_index)):
        both = family.model(**batch.inputs, use_cache=False).logits

    own = int(batch.answer_positions.sum())
    torch.testing.assert_close(both[:own], logits(family, batch), atol=2e-4, rtol=1e-3)
    row = Answers.of(both[:own], batch.labels).row
    replaced = logits(family, batch, replace)[torch.isin(row, rows)]
    torch.testing.assert_close(both[own:], replaced, atol=2e-4, rtol=1e-3)


def test_the_attack_raises_the_loss_and_leaves_no_gradients(family):
    batch = family.batch
    found = attack(family).find(batch, family.parts.media_features(batch.feature_index))
    assert all(parameter.grad is None for parameter in family.model.parameters())
    assert found.delta.abs().max() <= 0.05 + 1e-7
    assert len(found.delta) == found.mask.sum()

    def edit(kwargs):
        embeds = kwargs["inputs_embeds"].clone()
        embeds[found.rows] = found.on(embeds[found.rows])
        return {**kwargs, "inputs_embeds": embeds}

    before = Answers.of(logits(family, batch), batch.labels)
    after = Answers.of(logits(family, batch, edit), batch.labels)
    gains = after.row_means(cross_entropy(after)) - before.row_means(cross_entropy(before))
    assert gains[found.rows].mean() > 0
    assert (gains[found.rows] > 0).float().mean() >= 0.8  # each row by itself, but for a rare overshoot


def shares(family):
    """Whether rows can share prefixes; where they cannot, the reason is the expected one, and `auto` shares nothing."""
    why = obstacle(family.parts.decoder)
    assert (why is not None) == (family.name in NOT_SHARING) and NOT_SHARING.get(family.name, "") in (why or "")
    assert shares_prefixes("auto", family.parts.decoder) == (why is None)
    return why is None


def packed(family, batch, copies):
    rows = torch.arange(len(batch.labels))
    return RowAttention(CommonPrefixes(batch).pack(rows, copies))


def test_rows_that_share_prefixes_have_the_same_logits_and_gradients(family):
    from modality_interference.train.decoder_inputs import append_rows

    if not shares(family):
        return

    batch, copies = family.batch, family.batch.masked_rows
    mask = batch.perturbation_mask[copies]
    perturbation = Perturbation(copies, mask, torch.randn(int(mask.sum()), family.parts.width) / 10)

    def append(kwargs):
        embeds = kwargs["inputs_embeds"]
        appended = append_rows(kwargs, copies, len(batch.labels))
        return {**appended, "inputs_embeds": torch.cat([embeds, perturbation.on(embeds[copies])])}

    positions = torch.cat([batch.answer_positions, batch.answer_positions[copies]])
    parameters = [parameter for parameter in family.model.parameters() if parameter.requires_grad]
    results = []
    for together in (None, packed(family, batch, copies)):
        images = family.parts.media_features(batch.feature_index)
        with family.parts.hooked(append, positions, images, row_attention=together):
            answers = family.model(**batch.inputs, use_cache=False).logits

        loss = (answers.log_softmax(dim=-1) ** 2).mean()
        results.append((answers.detach(), torch.autograd.grad(loss, parameters, allow_unused=True)))

    (apart, gradients), (shared, shared_gradients) = results
    torch.testing.assert_close(shared, apart, atol=1e-5 * float(apart.abs().max()), rtol=1e-5)
    scale = max(float(gradient.abs().max()) for gradient in gradients if gradient is not None)
    for expected, found in zip(gradients, shared_gradients):
        assert (expected is None) == (found is None)
        if expected is not None:
            torch.testing.assert_close(found, expected, atol=1e-5 * scale, rtol=1e-4)


@pytest.mark.parametrize("rows_per_pass", [0, 1])
def test_an_attack_on_shared_prefixes_finds_the_same(family, rows_per_pass):
    batch = family.batch
    alone = attack(family)
    apart = alone.find(batch, family.parts.media_features(batch.feature_index))
    arguments = type("Arguments", (family.arguments,), {"adversarial_rows_per_pass": rows_per_pass})
    sharing = Attack(family.model, family.parts, arguments, (0,))
    if not shares(family):
        return

    shared = sharing.find(batch, family.parts.media_features(batch.feature_index), CommonPrefixes(batch))
    assert torch.equal(shared.rows, apart.rows)
    # signs of near-zero gradients may differ by rounding: compare all but a few coordinates
    assert torch.isclose(shared.delta, apart.delta, atol=1e-6).float().mean() > 0.999


@pytest.mark.parametrize("share", [True, False])
def test_the_attack_checkpoints_gradients_where_training_does(family, share):
    """The same copies, and hardly anything kept of a layer until its backward."""
    if family.name in NOT_CHECKPOINTED:
        return

    batch = family.batch
    layers = [
        module for module in family.parts.decoder.modules() if getattr(module, "gradient_checkpointing", None) is True
    ]
    layers = [layer for layer in layers if isinstance(layer, GradientCheckpointingLayer)]
    assert len(layers) == family.parts.decoder.config.num_hidden_layers  # on by default in LLaMA-Factory
    functions = [layer._gradient_checkpointing_func for layer in layers]
    found, kept = {}, {}
    for checkpointing in (True, False):
        for layer in layers:
            layer.gradient_checkpointing = checkpointing

        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda saved: (sizes.append(saved.numel()), saved)[1], lambda x: x
        ):
            common = CommonPrefixes(batch) if share and shares(family) else None
            found[checkpointing] = attack(family).find(batch, family.parts.media_features(batch.feature_index), common)

        kept[checkpointing] = sum(sizes)

    for layer, function in zip(layers, functions):
        layer.gradient_checkpointing = True
        assert layer._gradient_checkpointing_func is function and not layer.training

    assert torch.equal(found[True].delta, found[False].delta)
    assert kept[True] < kept[False] / 2


def test_a_rows_delta_does_not_depend_on_its_batch(family):
    together = attack(family).find(family.batch, family.parts.media_features(family.batch.feature_index))
    start = 0
    for batch in family.alone:
        found = attack(family).find(batch, family.parts.media_features(batch.feature_index))
        own = together.delta[start : start + len(found.delta)]
        # signs of near-zero gradients may differ by rounding: compare all but a few coordinates
        assert torch.isclose(own, found.delta, atol=1e-6).sum() >= 0.999 * own.numel()
        start += len(found.delta)

    assert start == len(together.delta)
