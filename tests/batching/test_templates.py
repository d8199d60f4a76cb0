"""The table of templates against LLaMA-Factory's own templates and the family tests; media that are refused."""

import pytest
from helpers.av_data import write_clips
from helpers.family_cases import media_of_family_tests
from helpers.loading import load_data
from helpers.runs import recipe
from llamafactory.data.template import TEMPLATES as THEIRS

from modality_interference.batching.templates import TEMPLATES, status
from modality_interference.errors import ModalityInterferenceError
from modality_interference.modality import Modality


TESTED = media_of_family_tests()


def test_every_multimodal_template_of_llamafactory_has_a_row():
    multimodal = {
        name
        for name, template in THEIRS.items()
        if any(getattr(template.mm_plugin, f"{modality}_token", None) for modality in ("image", "video", "audio"))
    }
    others = {"moss_vl", "instructblip"}  # of LLaMA-Factory's main branch, and of the plugin
    assert multimodal <= set(TEMPLATES) <= multimodal | others


@pytest.mark.parametrize("name", sorted(TEMPLATES.keys() & THEIRS.keys()))
def test_what_a_row_says_is_what_the_family_tests_run(name):
    support = TEMPLATES[name]
    plugin = THEIRS[name].mm_plugin
    takes = {modality for modality in Modality if getattr(plugin, f"{modality}_token", None)}
    assert bool(support.media) + bool(support.refused) == 1
    assert set(support.media) | set(support.refused_media) <= takes
    if not support.media:
        return

    other = THEIRS[support.like or name].mm_plugin
    assert type(other) is type(plugin)
    assert set(support.media) <= TESTED[support.like or name]
    assert "tested" in status(name)
    unknown = takes - set(support.media) - set(support.refused_media)
    assert not unknown


def test_a_medium_that_llamafactory_cannot_read_is_refused_before_rows_are_tokenized(checkpoint, tmp_path):
    """A fault of the recipe, not of its rows: none is dropped for it."""
    folder = write_clips(tmp_path / "clips", clips=1)
    keys = recipe(checkpoint("glm4v"), "glm4v", folder, tmp_path / "out", dataset="seen")
    with pytest.raises(
        ModalityInterferenceError, match="(?s)seen, row 0 has video.*`template: glm4v`.*without the plugin either"
    ):
        load_data(keys)
