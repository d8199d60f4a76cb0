"""The audio-visual ablation's tables and plots: `python examples/clips_ablation/summary.py`."""

from study import STUDY


from shared.summary import Summary, write_summary  # isort: skip  (study.py makes it importable)

SUMMARY = Summary(
    STUDY,
    conditions={
        "whole clips": ("clips_test", ("clean",)),
        "what is seen, another clip's sound": ("clips_test", ("swapped_audio",)),
        "what is heard, another clip's pictures": ("clips_test", ("swapped_video",)),
        "what is seen, silence": ("clips_test", ("silence",)),
        "what is heard, black frames": ("clips_test", ("black_frames",)),
        "misleading caption": ("clips_test", ("misleading_caption",)),
        "long context (held out)": ("clips_test", ("long_context",)),
    },
    dataset="clips_test",
    trained=("swapped_audio", "swapped_video", "silence", "black_frames", "misleading_caption"),
    unseen=("long_context",),
    reference="plain",
    tables=("overview", "costs", "attention", "tests"),
    chance=1 / 8,
)

if __name__ == "__main__":
    write_summary(SUMMARY, __doc__)
