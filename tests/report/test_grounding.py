"""The page's section on counterfactual rows: its figures, its plot, and that nothing else speaks of them."""

import pytest
from helpers.diagnoses import diagnosis, flip, image_uri, rate, result

from modality_interference.report.grounding import grounding_sentences, without_evidence
from modality_interference.report.page import write_report
from modality_interference.report.plots.grounding import GROUNDING_FILE, grounding_plot
from modality_interference.results import Diagnosis, Grounding, PerturbationResult


LABEL = "counterfactual_black_image"
HEADING = "Does the answer go when the evidence goes?"


def with_evidence_gone() -> Diagnosis:
    made = PerturbationResult(
        rows=80,
        rates={"unchanged_rate": rate(0.612), "accuracy": rate(0.374), "confidence": rate(0.55)},
        clean={"accuracy": rate(0.97), "confidence": rate(0.9)},
        chance=0.25,
    )
    clean, twins = result(accuracy=0.97), result(accuracy=0.4, flip_rate=0.515)
    plain = diagnosis({"pictures": {"clean": clean, "misleading_text": twins}})
    pictures = plain.datasets["pictures"].model_copy(
        update={
            "counterfactuals": {LABEL: made, "counterfactual_<b>": made},
            "grounding": Grounding(interference=rate(0.515), blindness=rate(0.612)),
        }
    )
    return plain.model_copy(update={"datasets": {**plain.datasets, "pictures": pictures}})


def test_table_and_sentence():
    found = with_evidence_gone()
    line = without_evidence(found)[0]
    assert (line.dataset, line.perturbation, line.rows) == ("pictures", LABEL, 80)
    figures = line.figures
    assert (figures["accuracy"].chance, figures["accuracy"].clean, figures["clean_accuracy"].value) == (
        0.25,
        None,
        0.97,
    )
    assert (figures["confidence"].clean, figures["unchanged_rate"].clean) == (0.9, None)
    sentence = next(grounding_sentences(found)).replace("\xa0", " ")
    assert "61.2 % (56.2 to 66.2) of answers stay" in sentence
    assert "51.5 % (46.5 to 56.5) change" in sentence


def test_page_has_section_and_plot_only_with_counterfactual_rows(tmp_path):
    stayed = flip(perturbation=LABEL, perturbed_answer="cat", images=[image_uri("red")], target=None)
    write_report(tmp_path, with_evidence_gone().model_copy(update={"unmoved": [stayed]}), [])
    text = (tmp_path / "interference.html").read_text().replace("\xa0", " ")
    assert HEADING in text and LABEL in text and "guessing 25.0 %" in text
    assert "counterfactual_<b>" not in text and "counterfactual_&lt;b&gt;" in text
    summary = text[text.index("<h2>Summary") : text.index(HEADING)]
    assert "counterfactual" not in summary  # nor a plot, a filter or the figures of twins
    assert "Answered without evidence" in text and "Worst flips" not in text
    assert (tmp_path / GROUNDING_FILE).stat().st_size > 1000

    write_report(tmp_path, diagnosis({}), [])
    assert HEADING not in (tmp_path / "interference.html").read_text()
    assert not (tmp_path / GROUNDING_FILE).exists()


@pytest.mark.parametrize("interference", [None, 0.0])
def test_plot_needs_both_axes(interference):
    found = with_evidence_gone()
    both = Grounding(interference=None if interference is None else rate(interference), blindness=rate(1.0))
    pictures = found.datasets["pictures"].model_copy(update={"grounding": both})
    plot = grounding_plot(found.model_copy(update={"datasets": {"pictures": pictures}}))
    assert (plot is None) is (interference is None)
