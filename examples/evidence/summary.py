"""The evidence study's tables and plots: `python examples/evidence/summary.py`."""

from study import STUDY


from shared.families import CURVE, HELD_OUT_LABELS  # isort: skip  (study.py makes it importable)
from shared.summary import Summary, write_summary  # isort: skip  (study.py makes it importable)

TRAINED = ("misleading_text", "unrelated_text")  # in the words of the paper's pattern
UNSEEN = (*HELD_OUT_LABELS, "misleading_text_after", "ocr_text")
SUMMARY = Summary(
    STUDY,
    conditions={
        "image": ("image_test", ("clean",)),
        "image, trained texts": ("image_test", TRAINED),
        "image, held-out texts": ("image_test", UNSEEN),
        "text": ("text_test", ("clean",)),
        "text, other images": ("text_test", ("irrelevant_image", "random_pixels")),
        "text, words in an image (held out)": ("text_test", ("typographic_image",)),
        "both": ("both_test", ("clean",)),
    },
    dataset="image_test",
    trained=TRAINED,
    unseen=UNSEEN,
    reference="augmentation",
    curve={"augmentation": CURVE[0]} | {f"families{number}": number for number in CURVE[1:]},
)

if __name__ == "__main__":
    write_summary(SUMMARY, __doc__)
