"""What a diagnosis says beside its figures."""

from helpers.diagnoses import scored

from modality_interference.evaluation.write import free_answers, unparsable_answers


def test_rows_with_options_that_likelihoods_cannot_compare_are_counted():
    sentences = scored("sent", correct=[True, False, True], right=["red"] * 3, options_unread=[True, None, True])
    twins = scored("sent", "misleading_text", correct=[True], right=["red"], options_unread=[True])
    free = scored("captions", correct=[True], right=["A cat."])
    found = free_answers([*sentences, *twins, *free], "likelihood")
    assert list(found) == ["sent"] and found["sent"].startswith("2 of 3 examples have options but are scored as free")
    assert free_answers(sentences, "generate") == {}


def test_unparsable_answers_of_every_condition_are_shown():
    rows = scored(correct=[False] * 20, answer=[None] * 20, response=[f"?{index}" for index in range(20)])
    rows += scored("sums", "ocr_text", correct=[False, True], answer=[None, "3"], response=["none", "It is 3"])
    rows += scored("captions", correct=[False], answer=[None])  # scored by likelihoods
    found = unparsable_answers(rows)
    assert len(found) == 12 and [(item.dataset, item.response) for item in found[:2]] == [
        ("pictures", "?0"),
        ("sums", "none"),
    ]
    assert [item.response for item in found[2:]] == [f"?{index}" for index in range(1, 11)]
