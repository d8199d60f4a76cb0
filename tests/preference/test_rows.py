"""What a pair rejects, of rows without options and of hostile answers; against the data, by hand."""

import json

import pytest
from helpers.diagnoses import scored
from helpers.runs import COLOURS, write_evidence

from modality_interference.errors import Unusable
from modality_interference.integration.offline import open_dataset
from modality_interference.preference.choice import Source, Wanted
from modality_interference.preference.rows import pair_of


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """The first row of questions with options (`texts`) and without (`free`), whose twins name a wrong answer."""
    folder, found = write_evidence(tmp_path_factory.mktemp("rows") / "data"), {}
    info = json.loads((folder / "dataset_info.json").read_text())
    rows = json.loads((folder / "free.json").read_text())
    (folder / "free.json").write_text(json.dumps([row | {"output": word} for row, word in zip(rows, COLOURS)]))
    for name in ("texts", "free"):
        info[name]["twins"]["perturbations"] = ["misleading_text"]
        with open_dataset(name, info[name], folder, seed=7) as dataset:
            (found[name],) = dataset.examples([0])

    return found


def pair(example, **answer):
    """The pair of the row's only twin, which was answered wrongly."""
    (twin,) = example.twins
    columns = {"target": twin.target, "key": example.record.key} | answer
    (row,) = scored("any", twin.perturbation, [False], **{name: [value] for name, value in columns.items()})
    source = Source(None, None, "any", 7, None)
    return pair_of(example, Wanted("misled", source, row), "I cannot tell.")


def test_a_wrong_free_answer_by_likelihood_is_no_text_of_the_model(examples):
    """It is the most likely token behind each token of the right answer; the answer that the twin claims is a whole one."""
    free = examples["free"]
    claimed, right = free.twins[0].target, free.aligned["_response"][0]["content"]
    assert claimed and claimed != right
    made = pair(free, answer="It cat dog", misled=True)
    assert (made.chosen, made.rejected) == (right, claimed)
    for misled in (False, None):
        with pytest.raises(Unusable, match="free answer that was scored by likelihood"):
            pair(free, answer="It cat dog", misled=misled)


def test_a_generated_free_answer_is_what_the_model_wrote(examples):
    assert pair(examples["free"], answer="a dog", response="a dog", misled=True).rejected == "a dog"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("an <image> of it", "media token in an answer"),
        ("<audio>", "media token in an answer"),
        (" ", "without words"),
    ],
)
def test_answers_that_no_training_can_take(examples, answer, kind):
    for example in examples.values():
        with pytest.raises(Unusable, match=kind):
            pair(example, answer=answer, response=answer)
