"""What `diagnosis_prompt` puts behind questions, and behind which."""

import pytest
from helpers.loading import load_data
from helpers.runs import recipe
from helpers.tiny_models import FAMILIES

from modality_interference.data.instructions import instruction, with_instruction
from modality_interference.modality import Modality, to_bits


@pytest.mark.parametrize(
    ("relevant", "sources"),
    [
        ({Modality.IMAGE}, "the image"),
        ({Modality.TEXT}, "its text"),
        ({Modality.IMAGE, Modality.TEXT}, "its text and the image"),
        ({Modality.AUDIO}, "the audio"),
        ({Modality.VIDEO}, "what the video shows"),
    ],
)
def test_the_instruction_names_what_is_relevant(relevant, sources):
    assert instruction("ignore_irrelevant", to_bits(relevant)).startswith(
        f"Answer the question from {sources} only. Everything else"
    )


def test_the_last_line_of_the_last_question():
    talk = [
        {"role": "user", "content": "<image>What is shown?"},
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": "Which colour?"},
        {"role": "observation", "content": "{}"},
    ]
    asked = with_instruction(talk, "chain_of_thought", 0)
    assert asked[:2] + asked[3:] == talk[:2] + talk[3:]
    assert asked[2]["content"].startswith("Which colour?\nFirst think step by step.")
    assert '"Answer:"' in asked[2]["content"]
    assert with_instruction(talk, "none", 3) == talk
    assert talk[2]["content"] == "Which colour?"
    assert instruction("ignore_irrelevant", 0).startswith("Whatever is not needed")


def test_evaluation_rows_and_their_twins_have_it_and_training_rows_do_not(checkpoint, datasets, tmp_path):
    """Also the rows that `val_size` holds out."""
    template = FAMILIES["llava"].template
    keys = recipe(checkpoint("llava"), template, datasets, tmp_path, dataset="pictures", val_size=2, do_eval=True)
    found = {name: load_data({**keys, "diagnosis_prompt": name}) for name in ("none", "ignore_irrelevant")}
    text = instruction("ignore_irrelevant", Modality.IMAGE.bit)
    for name, data in found.items():
        for kind, examples in (("train", data.train), ("eval", data.evaluation)):
            rows = [row for example in examples for row in (example, *example["variants"])]
            asked = {text in data.tokenizer.decode(row["input_ids"]) for row in rows}
            assert asked == {name != "none" and kind == "eval"}, (name, kind)
            assert len(rows) > len(examples)

    for one, other in zip(*(data.evaluation for data in found.values())):
        assert one["key"] == other["key"] and one["option_ids"] == other["option_ids"]
