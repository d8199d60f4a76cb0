"""Templates that the method cannot work with are refused by name, before anything is loaded."""

from types import SimpleNamespace

import pytest

from modality_interference.errors import ModalityInterferenceError
from modality_interference.integration.validation import check_recipe


@pytest.mark.parametrize(
    ("template", "reason"),
    [("mllama", "cross-attention"), ("minicpm_v", "nested batch"), ("minicpm_o", "nested batch")],
)
def test_templates_are_refused_by_name(template, reason):
    recipe = [SimpleNamespace(), SimpleNamespace(template=template), SimpleNamespace(), SimpleNamespace(stage="sft")]
    with pytest.raises(ModalityInterferenceError, match=f"`template: {template}`.*{reason}.*README"):
        check_recipe(*recipe)
