"""The audio-visual ablation's tables and plots: `python examples/clips_ablation/summary.py`."""

from study import STUDY


from shared.summary import Summary, write_summary  # isort: skip  (study.py makes it importable)

SWAPPED, REMOVED = ("swapped_audio", "swapped_video"), ("silence", "black_frames")
SUMMARY = Summary(
    STUDY,
    conditions={
        "whole clips": ("clips_test", ("clean",)),
        "another clip's": ("clips_test", SWAPPED),
        "one removed": ("clips_test", REMOVED),
        "misleading caption": ("clips_test", ("misleading_caption",)),
        "long context (held out)": ("clips_test", ("long_context",)),
    },
    images="clips_test",
    trained=(*SWAPPED, *REMOVED, "misleading_caption"),
    unseen=("long_context",),
    reference="plain",
    tables=("overview", "costs", "tests"),
    chance=1 / 8,
)

if __name__ == "__main__":
    write_summary(SUMMARY, __doc__)
