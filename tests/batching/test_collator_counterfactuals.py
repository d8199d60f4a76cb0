"""Counterfactual rows in batches: where they have a term, which of them an epoch takes, and the rows of their options."""

from typing import Any

import pytest
import torch
from helpers.loading import Loaded, load_data
from helpers.runs import recipe, write_evidence

from modality_interference.batching.batch import Role, TwinBatch
from modality_interference.batching.collator import Purpose, row_key


def of_dataset(data: Loaded, name: str) -> list[dict[str, Any]]:
    return [example for example in data.train if example["dataset"] == name]


@pytest.fixture(scope="module")
def evidence(checkpoint, tmp_path_factory):
    folder = write_evidence(tmp_path_factory.mktemp("evidence"))
    keys = dict(dataset="texts,letters,free", counterfactual_weight=1.0)
    return load_data(recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", folder, tmp_path_factory.mktemp("out"), **keys))


def roles_of(batch: TwinBatch) -> list[str]:
    return [
        "".join(Role(role).name[0] for role in batch.roles[batch.twin_of == row].tolist()) for row in batch.clean_rows
    ]


def test_counterfactual_rows_in_training_alone_where_they_have_a_term(evidence):
    """Of options that begin alike, the right one is in the row itself; the other three take rows, and letters none."""
    examples = [of_dataset(evidence, name)[0] for name in ("texts", "letters", "free")]
    for method, expected in {
        None: ["CT", "CT", "CT"],
        "contrast": ["CTCC", "CTCC", "CTCC"],
        "uniform": ["CTCC" + "OOO" * 2, "CTCC", "CT"],  # no options, no term
        "abstain": ["CT", "CT", "CT"],
    }.items():
        collator = evidence.collator(counterfactual_method=method)
        batch = TwinBatch.split(collator(examples))
        assert roles_of(batch) == expected
        gone = torch.nonzero(batch.roles == Role.COUNTERFACTUAL)[:, 0].tolist()
        assert [one.row for one in batch.counterfactuals] == gone
        assert [one.clean for one in batch.counterfactuals] == batch.twin_of[gone].tolist()
        assert [one.choices for one in batch.counterfactuals] == [4, 4, 4, 4, 0, 0][: len(gone)]

    diagnosed = TwinBatch.split(collator.for_evaluation(Purpose.LIKELIHOOD)(examples))
    assert [roles[:4] for roles in roles_of(diagnosed)] == ["CTCC"] * 3 and diagnosed.counterfactuals == []


def keys_of(batch: TwinBatch, role: Role) -> list[int]:
    return batch.row_key[batch.roles == role].tolist()


def test_counterfactual_rows_are_drawn_afresh_and_change_no_twin(evidence):
    """One of five twins and one of two counterfactual rows an epoch."""
    examples = of_dataset(evidence, "letters")
    for example in examples:
        example["variants"] = [example["variants"][0] | {"perturbation": f"twin_{index}"} for index in range(5)]

    settings = dict(seed=3, twins_limit=1)
    collator = evidence.collator(counterfactual_method="contrast", **settings)
    without, epochs = evidence.collator(**settings), []
    for epoch in range(8):
        collator.set_epoch(epoch)
        without.set_epoch(epoch)
        batch, other = TwinBatch.split(collator(examples)), TwinBatch.split(without(examples))
        assert (roles_of(batch), roles_of(other)) == (["CTC"] * 4, ["CT"] * 4)
        assert keys_of(batch, Role.TWIN) == keys_of(other, Role.TWIN)
        epochs.append(keys_of(batch, Role.COUNTERFACTUAL))

    names = [row["perturbation"] for row in examples[0]["counterfactuals"]]
    for index, example in enumerate(examples):  # in eight epochs each has its turn
        assert {keys[index] for keys in epochs} == {row_key(example["key"], name) for name in names}
