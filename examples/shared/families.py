"""Which families of texts the studies train on, and which never are."""

from typing import Any


Perturbation = str | dict[str, Any]

# In the order in which the curve over the number of families takes them; the first is the paper's. `ocr_noise` is not among them, so
# that `ocr_text` is like nothing that was trained on.
TRAINABLE = ("statement", "dialogue", "headline", "note", "metadata", "code_comment", "table_row")
CURVE = (1, 2, 4, 7)  # numbers of them
HELD_OUT = ("quotation", "instruction", "other_language", "search_snippet")
HELD_OUT_LABELS = tuple(f"misleading_text_{family}" for family in HELD_OUT)  # of `held_out_texts` in results


def held_out_texts() -> list[Perturbation]:
    """Misleading texts of the families that nothing trains on, each apart."""
    return [{"name": "misleading_text", "families": [family]} for family in HELD_OUT]


def texts(families: tuple[str, ...], positions: tuple[str, ...] = ("before",)) -> list[Perturbation]:
    """Misleading and unrelated texts of some families; one of them is drawn for each row."""
    words = {"families": list(families), "positions": list(positions)}
    return [{"name": name, **words} for name in ("misleading_text", "unrelated_text")]
