"""InstructBLIP against transformers' processor and model, and where LLaMA-Factory knows its template."""

import json

import pytest
import torch
from helpers.loading import load_data
from helpers.runs import recipe
from llamafactory.data.template import TEMPLATES
from llamafactory.model.adapter import COMPOSITE_MODELS
from llamafactory.train.tuner import run_exp
from PIL import Image
from safetensors.torch import load_file
from transformers import InstructBlipForConditionalGeneration

from modality_interference.batching.batch import TwinBatch
from modality_interference.batching.collator import Purpose
from modality_interference.integration.instructblip import LONGEST_PROMPT, NAME
from modality_interference.integration.plugin import deactivate
from modality_interference.modality import IGNORE_LABEL


IMAGE_TOKENS = 4


@pytest.fixture(scope="module")
def model(checkpoint):
    return InstructBlipForConditionalGeneration.from_pretrained(checkpoint(NAME)).eval()


@pytest.fixture(scope="module")
def loaded(checkpoint, datasets, tmp_path_factory):
    data = load_data(
        recipe(checkpoint(NAME), NAME, datasets, tmp_path_factory.mktemp("loaded"), dataset="pictures,sums")
    )
    yield data
    deactivate()


def parts_of(batch, row):
    """A row's tokens without padding: those of its prompt, behind image tokens and the first token, and its answer's."""
    attended = batch.inputs["attention_mask"][row].bool()
    ids, labels = batch.inputs["input_ids"][row][attended], batch.labels[row][attended]
    answer = ids[labels != IGNORE_LABEL]
    return ids[IMAGE_TOKENS + 1 : len(ids) - len(answer)], answer


def test_rows_have_the_logits_of_transformers_processor_and_model(loaded, model, datasets):
    """Which get a prompt without its answer: so the Q-Former has read none."""
    rows = [loaded.train[index] for index in (0, 1)]
    batch = TwinBatch.split(loaded.collator(model=model)([dict(row) for row in rows]))
    assert batch.media_index is None  # the image's features differ by prompt
    with torch.no_grad():
        logits = model(**batch.inputs).logits

    for row, source in enumerate(batch.twin_of.tolist()):
        prompt, answer = parts_of(batch, row)
        text = loaded.tokenizer.decode(prompt)
        image = Image.open(rows[0 if source == 0 else 1]["images"][0]["path"])
        inputs = loaded.processor(images=image, text=text, return_tensors="pt")
        ids = inputs["input_ids"][0]
        first = torch.tensor([loaded.tokenizer.bos_token_id])  # which the checkpoints' own tokenizer adds
        ids = torch.cat([ids[:IMAGE_TOKENS], first, ids[IMAGE_TOKENS:], answer])[None]
        with torch.no_grad():
            expected = model(**inputs | {"input_ids": ids, "attention_mask": torch.ones_like(ids)}).logits[0]

        torch.testing.assert_close(logits[row, : len(expected)], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("purpose", [Purpose.LIKELIHOOD, Purpose.GENERATION])
def test_the_q_former_reads_the_same_in_training_and_in_a_diagnosis(loaded, model, purpose):
    def read(purpose):
        batch = loaded.collator(model=model, purpose=purpose)([dict(loaded.train[0])])
        pairs = zip(batch["qformer_input_ids"], batch["qformer_attention_mask"])
        return [tuple(ids[attended.bool()].tolist()) for ids, attended in pairs]

    trained = read(Purpose.TRAINING)
    assert len(set(trained)) == len(trained) == 3  # a clean row and its twins, each with a prompt of its own
    assert set(read(purpose)) == set(trained)


def test_long_prompts_are_cut_and_text_alone_has_an_image_that_nobody_sees(loaded, model):
    ids = [loaded.tokenizer.encode("seven", add_special_tokens=False)[0]] * 2 * LONGEST_PROMPT
    image = Image.new("RGB", (40, 40))
    found = loaded.template.mm_plugin.get_mm_inputs([image], [], [], [0], [0], [0], [ids], loaded.processor)
    assert found["qformer_input_ids"].shape == (1, LONGEST_PROMPT)
    sums = next(row for row in loaded.train if row["dataset"] == "sums")
    batch = TwinBatch.split(loaded.collator(model=model)([dict(sums, variants=[])]))
    assert len(batch.inputs["pixel_values"]) == 1
    prompt, answer = parts_of(batch, 0)
    with torch.no_grad():
        logits = model(**batch.inputs).logits[0]
        attended = batch.inputs["attention_mask"][0].bool()
        alone = model.language_model(batch.inputs["input_ids"][:, attended]).logits[0]

    torch.testing.assert_close(logits[attended], alone, atol=1e-4, rtol=1e-4)


def test_a_run_without_the_plugin_does_not_know_it(loaded, checkpoint, datasets, tmp_path):
    """LLaMA-Factory's own collator would let the Q-Former read the answers."""
    keys = recipe(checkpoint(NAME), NAME, datasets, tmp_path / "out", dataset="plain")
    plain = {key: value for key, value in keys.items() if key in PLAIN}
    with pytest.raises(ValueError, match="Template instructblip does not exist"):
        load_data(plain)

    assert NAME not in COMPOSITE_MODELS and NAME not in TEMPLATES


PLAIN = (
    "model_name_or_path", "template", "stage", "do_train", "finetuning_type", "dataset_dir", "dataset", "output_dir", "use_cpu"
)  # fmt: skip


def test_lora_and_a_diagnosis_by_likelihood_and_by_generation(checkpoint, datasets, tmp_path):
    lora = dict(finetuning_type="lora", freeze_vision_tower=True, freeze_multi_modal_projector=True)
    evaluated = dict(eval_dataset="pictures,sums", do_eval=True, per_device_eval_batch_size=2, max_samples=3)
    run_exp(recipe(checkpoint(NAME), NAME, datasets, tmp_path / "lora", **lora, **evaluated))
    names = load_file(tmp_path / "lora" / "adapter_model.safetensors")
    assert names and all(".language_model." in name for name in names)
    generated = dict(do_train=False, diagnosis_scoring="generate", predict_with_generate=True, max_new_tokens=4)
    run_exp(recipe(checkpoint(NAME), NAME, datasets, tmp_path / "generated", **generated, **evaluated, dataset=None))
    for run in ("lora", "generated"):
        figures = json.loads((tmp_path / run / "interference.json").read_text())["datasets"]
        assert figures["pictures"]["perturbations"]["misleading_text"]["rows"] == 3
