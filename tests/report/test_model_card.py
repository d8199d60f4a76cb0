"""The part of a model's card about a diagnosis."""

import pytest
import yaml
from helpers.diagnoses import diagnosis, rate, result
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub.repocard_data import model_index_to_eval_results

from modality_interference.cli import main
from modality_interference.errors import ModalityInterferenceError
from modality_interference.report.model_card import section, update_card
from modality_interference.results import PerturbationResult, Tuning, write_results


# as transformers' `TrainingSummary` writes it
TRAINERS = """\
---
library_name: peft
license: other
base_model: models/base
tags:
- llama-factory
model-index:
- name: tuned
  results: []
---

# tuned

This model is a fine-tuned version of [models/base](https://huggingface.co/models/base) on the pictures dataset.
It achieves the following results on the evaluation set:
- Loss: 0.5
- Pictures Clean Accuracy: 0.97
- Model Preparation Time: 0.01

## Model description

More information needed
"""


@pytest.mark.parametrize(
    "scoring, word",
    [("likelihood", "highest likelihood"), ("generate", "generated greedily"), ("top_logprobs", "from a server")],
)
def test_section_says_how_answers_were_scored(scoring, word):
    assert word in section(diagnosis(scoring=scoring))


def test_section_says_that_attention_was_changed():
    changed = diagnosis(calibration={"constant": 1.5, "tokens": "relevant", "layers": "all"})
    assert "changed for these answers: +1.5 nats on relevant media tokens, layers all." in section(changed)
    assert "changed for these answers" not in section(diagnosis())


def test_section_says_what_is_left_without_the_evidence():
    made = PerturbationResult(rows=80, rates={"unchanged_rate": rate(0.612), "evidence_margin": rate(0.4)})
    plain = diagnosis()
    pictures = plain.datasets["pictures"].model_copy(update={"counterfactuals": {"counterfactual_black_image": made}})
    text = section(plain.model_copy(update={"datasets": {**plain.datasets, "pictures": pictures}})).replace(
        "\xa0", " "
    )
    _, below = text.split("what their answers rest on was taken away")
    lines = [line for line in below.splitlines() if line.startswith("|")]
    assert lines[0] == "| dataset | perturbation | rows | Unchanged | Evidence margin |"
    assert lines[2] == (
        "| pictures | counterfactual_black_image | 80 | 61.2 % (56.2 to 66.2) | 0.40 nats (0.35 to 0.45) |"
    )
    assert "taken away" not in section(plain)


def test_section_has_every_rate_with_its_interval():
    text = section(diagnosis(tuning=Tuning(base="models/base", method="lora", steps=600)))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert lines[0] == "| dataset | perturbation | rows | Accuracy | Flip rate | Causal effect | Misled rate |"
    assert lines[1] == "|---|---|---:|---:|---:|---:|---:|" and {line.count("|") for line in lines} == {8}
    cells = ["16.0 % (11.0 to 21.0)", "84.0 % (79.0 to 89.0)", "0.700 bits (0.650 to 0.750)", "79.0 % (74.0 to 84.0)"]
    assert f"| pictures | misleading_text | 100 | {' | '.join(cells)} |" in text.replace("\N{NO-BREAK SPACE}", " ")
    assert len(lines) == 2 + 7 and "300 questions" in text and "option with the highest likelihood" in text
    assert "The model was tuned from models/base (lora, 600" in text and "Seed 7, 12 January 2026" in text


def test_a_trainers_bare_list_is_replaced(tmp_path):
    (card := tmp_path / "README.md").write_text(TRAINERS)
    update_card(card, diagnosis())
    first = card.read_text()
    update_card(card, diagnosis())
    assert card.read_text() == first
    assert "It achieves the following" not in first and "- Pictures Clean Accuracy" not in first
    assert first.index("on the pictures dataset.") < first.index("## Modality interference")
    assert first.index("## Modality interference") < first.index("## Model description\n\nMore information needed")
    loaded = ModelCard.load(card)
    assert (loaded.data.base_model, loaded.data.library_name) == ("models/base", "peft")
    assert loaded.data.model_name == "tuned" and loaded.data.license == "other"


def test_model_index_is_what_huggingface_hub_reads(tmp_path):
    figures = {"clean": result(accuracy=0.9), "misleading_text": result(accuracy=0.5, excess_misled_rate=0.25)}
    update_card(card := tmp_path / "card.md", diagnosis({"pictures": figures}))
    metadata = yaml.safe_load(card.read_text().split("---\n")[1])
    name, found = model_index_to_eval_results(metadata["model-index"])
    assert name == "base" and ModelCardData(**metadata).eval_results == found
    assert [(item.dataset_config, item.metric_type, item.metric_value) for item in found] == [
        ("clean", "accuracy", 0.9),
        ("misleading_text", "accuracy", 0.5),
        ("misleading_text", "excess_misled_rate", 0.25),
    ]
    assert found[0].metric_args == {"low": 0.85, "high": 0.95, "rows": 100}
    assert {(item.task_type, item.dataset_name) for item in found} == {("visual-question-answering", "pictures")}


def test_results_of_others_stay(tmp_path):
    keys = dict(task_type="text-generation", dataset_type="x", dataset_name="X", metric_type="bleu", metric_value=3)
    data = ModelCardData(model_name="m", eval_results=[EvalResult(**keys)], license="mit")
    (card := tmp_path / "README.md").write_text(f"---\n{data.to_yaml()}\n---\n# Mine\n\nText.\n")
    update_card(card, diagnosis({"pictures": {"clean": result(accuracy=0.9)}}))
    update_card(card, diagnosis({"pictures": {"clean": result(accuracy=0.8)}}))
    loaded = ModelCard.load(card)
    assert [(item.dataset_name, item.metric_value) for item in loaded.data.eval_results] == [
        ("X", 3),
        ("pictures", 0.8),
    ]
    assert loaded.data.model_name == "m" and loaded.text.lstrip().startswith("# Mine\n\nText.\n\n<!--")


def test_names_of_data_cannot_change_the_page(tmp_path):
    name, note = "a|b <script>`x`", "[click](javascript:x) ![](http://x)\n# Heading"
    found = diagnosis({name: {"clean": result(accuracy=0.9)}}, notes=[note], model={"name_or_path": "m\n---\nx: y"})
    update_card(card := tmp_path / "README.md", found)
    text = ModelCard.load(card).text
    row = next(line for line in text.splitlines() if line.startswith("| a"))
    assert row.startswith(r"| a\|b &lt;script&gt;\`x\` | clean |")
    assert r"- \[click\](javascript:x) !\[\](http://x) \# Heading" in text and "<script>" not in text
    assert ModelCard.load(card).data.to_dict().keys() == {"model-index"}


@pytest.mark.parametrize("text", ["---\n- a\n---\n", "---\n{a: [\n---\n", "---\nmodel-index: 3\n---\n"])
def test_metadata_that_cannot_be_read(tmp_path, text):
    (card := tmp_path / "README.md").write_text(text)
    with pytest.raises(ModalityInterferenceError, match="the metadata of .*README.md cannot be read"):
        update_card(card, diagnosis())

    assert card.read_text() == text


def test_the_command(tmp_path, capsys):
    write_results(run := tmp_path / "run", diagnosis(), [])
    command = ["report", str(run), "-o", str(tmp_path / "page"), "--model-card", str(tmp_path / "README.md")]
    assert main(command) == 0
    assert "The card: " in capsys.readouterr().out and (tmp_path / "README.md").is_file()
    assert main([*command, str(run)]) == 1
    assert "`--model-card` is for one run" in capsys.readouterr().err
