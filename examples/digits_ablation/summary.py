"""The ablation's tables and plots: `python examples/digits_ablation/summary.py`."""

from study import STUDY


from shared.families import CURVE, HELD_OUT_LABELS  # isort: skip  (study.py makes it importable)
from shared.summary import Summary, write_summary  # isort: skip  (study.py makes it importable)

TRAINED = ("misleading_text", "unrelated_text")
UNSEEN = ("ocr_text", *HELD_OUT_LABELS, "misleading_text_after")
SUMMARY = Summary(
    STUDY,
    conditions={
        "image": ("digits_image_test", ("clean",)),
        "image, trained texts": ("digits_image_test", TRAINED),
        "image, held-out texts": ("digits_image_test", UNSEEN),
        "text": ("digits_text_test", ("clean",)),
        "text, other images": ("digits_text_test", ("irrelevant_image", "random_pixels", "black_image")),
        "text, words in an image (held out)": ("digits_text_test", ("typographic_image",)),
        "both": ("digits_both_test", ("clean",)),
    },
    dataset="digits_image_test",
    trained=TRAINED,
    unseen=UNSEEN,
    reference="augmentation",
    curve={f"families{number}_js": number for number in CURVE},
)

if __name__ == "__main__":
    write_summary(SUMMARY, __doc__)
