"""Which answers become pairs, on rows written by hand."""

import pytest
from helpers.diagnoses import diagnosis, scored

from modality_interference.errors import ModalityInterferenceError
from modality_interference.preference.choice import drawn, wanted_rows
from modality_interference.results import write_results


CLEAN = scored(correct=[True, True, False, True], answer=["cat", "dog", "cow", "hen"])
TWINS = scored(
    perturbation="unrelated_text",
    correct=[False, True, False, False],
    answer=["dog", "dog", "pig", None],
    flipped=[True, False, True, True],
)
GONE = scored(
    perturbation="counterfactual_black_image",
    correct=[True, False, False, False],
    answer=["cat", "none of these", None, "pig"],
    abstention=["none of these"] * 4,
)
REMOVED = scored(
    dataset="removed",
    correct=[False, True],
    answer=["cat", "none of these"],
    right=["none of these"] * 2,
    abstention=["none of these"] * 2,
)


@pytest.fixture
def run(tmp_path):
    """A diagnosis of `data`, which is a folder."""
    (tmp_path / "data").mkdir()
    found = diagnosis(data={"dataset_dir": str(tmp_path / "data"), "max_samples": 5})
    write_results(tmp_path / "run", found, [*CLEAN, *TWINS, *REMOVED], GONE)
    return tmp_path / "run"


def names(wanted):
    return [(item.kind, item.row.dataset, item.row.perturbation, item.row.row, item.row.answer) for item in wanted]


MISLED = [
    ("misled", "pictures", "unrelated_text", 0, "dog")
]  # of the others one is right, one was wrong before, one says nothing
INVENTED = [
    ("invented", "removed", "clean", 0, "cat"),
    ("invented", "pictures", "counterfactual_black_image", 0, "cat"),
    ("invented", "pictures", "counterfactual_black_image", 3, "pig"),
]


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [(("misled", "invented"), MISLED + INVENTED), (("misled",), MISLED), (("invented",), INVENTED)],
)
def test_rows_are_chosen_by_kind(run, kinds, expected):
    wanted = wanted_rows([run], None, None, kinds)
    assert names(wanted) == expected
    source = wanted[0].source
    assert (source.folder, source.seed, source.max_samples) == (run.parent / "data", 7, 5)


def test_what_two_runs_have_in_common_is_taken_once(run, tmp_path):
    other = [
        row.model_copy(update={"answer": "pig"}) if row.answer == "dog" and not row.correct else row for row in TWINS
    ]
    found = diagnosis(data={"dataset_dir": str(tmp_path / "data"), "max_samples": 5})
    write_results(tmp_path / "other", found, [*CLEAN, *other, *REMOVED], GONE)
    both = names(wanted_rows([run, tmp_path / "other"], None, None, ("misled", "invented")))
    assert both == [*MISLED, *INVENTED, ("misled", "pictures", "unrelated_text", 0, "pig")]


def test_the_folders_that_the_diagnosis_names_must_be_there(run, tmp_path):
    (tmp_path / "data").rmdir()
    with pytest.raises(
        ModalityInterferenceError, match="as `dataset_dir`, and there is no such folder here.*by `--data`"
    ):
        wanted_rows([run], None, None, ("misled",))

    (tmp_path / "elsewhere").mkdir()
    source = wanted_rows([run], tmp_path / "elsewhere", None, ("misled",))[0].source
    assert (source.folder, source.media_dir) == (tmp_path / "elsewhere", None)


def test_media_may_start_elsewhere(run, tmp_path):
    found = diagnosis(data={"dataset_dir": str(tmp_path / "data"), "media_dir": str(tmp_path / "media")})
    write_results(run, found, [*CLEAN, *TWINS])
    with pytest.raises(
        ModalityInterferenceError, match="as `media_dir`, and there is no such folder here.*by `--media-dir`"
    ):
        wanted_rows([run], None, None, ("misled",))

    assert wanted_rows([run], None, run, ("misled",))[0].source.media_dir == run
    assert wanted_rows([run], tmp_path / "data", None, ("misled",))[0].source.media_dir is None
    (tmp_path / "media").mkdir()
    assert wanted_rows([run], None, None, ("misled",))[0].source.media_dir == tmp_path / "media"


def test_a_draw_keeps_the_order_and_fewer_are_a_part_of_more(run):
    wanted = wanted_rows([run], None, None, ("misled", "invented"))
    assert drawn(wanted, None, 0) == drawn(wanted, 9, 0) == wanted
    draws = [drawn(wanted, count, 3) for count in range(1, 5)]
    for few, more in zip(draws, draws[1:]):
        assert len(few) + 1 == len(more) and [item for item in more if item in few] == few
    assert len({tuple(names(drawn(wanted, 1, seed))) for seed in range(20)}) > 1
