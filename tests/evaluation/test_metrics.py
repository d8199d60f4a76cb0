"""Metrics of an evaluation in words."""

from modality_interference.evaluation.metrics import rates_in_words


def test_an_evaluation_in_one_line():
    names = [("digits", "clean"), ("digits", "ocr_text"), ("digits", "misleading_text"), ("plain", "clean")]
    metrics = {
        "test_digits_clean_accuracy": 0.966,
        "test_digits_ocr_text_accuracy": 0.306,
        "test_digits_misleading_text_accuracy": 0.222,
        "test_digits_misleading_text_flip_rate": 0.753,
        "test_plain_clean_accuracy": 1.0,
    }
    said = "digits: clean 96.6 %, worst misleading_text 22.2 % (flips 75.3 %); plain: clean 100.0 %"
    assert rates_in_words(metrics, names, "test") == said
    metrics["test_digits_misleading_text_clean_accuracy"] = 0.5  # of the rows that have this twin
    said = said.replace("(flips", "(of its rows clean 50.0 %, flips")
    assert rates_in_words(metrics, names, "test") == said
    for name, value in (("black_image", 0.4), ("irrelevant_image", 0.612)):
        metrics[f"test_digits_counterfactual_{name}_unchanged_rate"] = value
        metrics[f"test_digits_counterfactual_{name}_accuracy"] = 0.1  # no accuracy of twins

    names += [("digits", "counterfactual_black_image"), ("digits", "counterfactual_irrelevant_image")]
    said = said.replace("; plain", ", 61.2 % of answers stay under counterfactual_irrelevant_image; plain")
    assert rates_in_words(metrics, names, "test") == said
