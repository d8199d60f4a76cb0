"""Columns and types of datasets."""

from datasets import ClassLabel, Dataset, Features, Value

from modality_interference.data.schema import text_classes


def test_the_classes_of_text_labels_are_those_of_all_label_columns():
    features = Features({"seen": Value("string"), "heard": Value("string"), "kind": ClassLabel(names=["a", "b"])})
    rows = {"seen": ["cat", "dog ", None], "heard": ["rain", "", "dog"], "kind": [0, 1, 1]}
    dataset = Dataset.from_dict(rows, features=features)
    assert text_classes(dataset, {"seen", "heard", "kind", "absent"}) == {
        "seen": ["cat", "dog", "rain"],
        "heard": ["cat", "dog", "rain"],
    }
    assert text_classes(dataset.select([0]), {"seen"}) == {"seen": ["cat"]}
    assert text_classes(dataset, {"kind"}) == {}
