"""Counterfactual rows in a comparison: paired differences against an independent test, and the page."""

import json

import numpy as np
import pytest
from helpers.diagnoses import diagnosis, rate, result, scored
from statsmodels.stats.contingency_tables import mcnemar

from modality_interference.report.comparison import compare_runs
from modality_interference.results import Diagnosis, Grounding, PerturbationResult, ScoredRow, write_results


LABEL = "counterfactual_black_image"


def gone(stays: list[bool]) -> list[ScoredRow]:
    return scored(perturbation=LABEL, correct=stays, flipped=[not same for same in stays])


def found(share: float) -> Diagnosis:
    plain = diagnosis({"pictures": {"clean": result(accuracy=0.9), "misleading_text": result(flip_rate=0.7)}})
    made = PerturbationResult(rows=60, rates={"unchanged_rate": rate(share)})
    pictures = plain.datasets["pictures"].model_copy(
        update={
            "counterfactuals": {LABEL: made},
            "grounding": Grounding(interference=rate(0.7), blindness=rate(share)),
        }
    )
    return plain.model_copy(update={"datasets": {"pictures": pictures}})


@pytest.mark.parametrize(("share", "verdict"), [(0.2, "better"), (0.75, "unclear")])
def test_fewer_unchanged_answers_are_better(tmp_path, share, verdict):
    rng = np.random.default_rng(0)
    base, tuned = (rng.random(60) < 0.8).tolist(), (rng.random(60) < share).tolist()
    clean = scored(correct=[True] * 60)
    for name, stays in (("base", base), ("tuned", tuned)):
        write_results(tmp_path / name, found(float(np.mean(stays))), clean, gone(stays))

    compare_runs([tmp_path / "base", tmp_path / "tuned"], tmp_path / "both")
    written = json.loads((tmp_path / "both" / "comparison.json").read_text())
    (condition,) = written["evidence"]
    difference = condition["figures"]["tuned"]["difference"]
    table = [[sum((a, b) == (x, y) for x, y in zip(base, tuned)) for b in (True, False)] for a in (True, False)]
    assert difference["value"] == pytest.approx(np.mean(tuned) - np.mean(base))
    assert difference["p"] == difference["p_holm"] == pytest.approx(mcnemar(table, exact=True).pvalue)
    assert (difference["verdict"], difference["examples"]) == (verdict, 60)
    assert condition["figures"]["base"]["difference"] is None
    assert {line["perturbation"] for line in written["conditions"]} == {"clean", "misleading_text"}
    page = (tmp_path / "both" / "comparison.html").read_text()
    assert "Does the answer go when the evidence goes?" in page and LABEL in page
    assert (tmp_path / "both" / "comparison_grounding.png").stat().st_size > 1000
