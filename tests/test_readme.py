"""The README says what the code does: every key with its default, every format and perturbation, links that lead somewhere."""

import re
from pathlib import Path

import pytest

from modality_interference.arguments import DEFAULTS, PLUGIN_KEYS
from modality_interference.data.registry import formats, perturbations


ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def table_rows(key: str) -> list[str]:
    return [line for line in README.splitlines() if line.startswith("|") and f"`{key}`" in line.split("|")[1]]


@pytest.mark.parametrize("key", PLUGIN_KEYS)
def test_every_key_stands_in_the_table_with_its_default(key):
    (row,) = table_rows(key)
    default = row.split("|")[2].strip().strip("`")
    assert default == ("unset" if DEFAULTS[key] is None else str(DEFAULTS[key]))


@pytest.mark.parametrize("name", sorted([*formats(), *perturbations()]))
def test_every_format_and_perturbation_stands_in_a_table(name):
    assert len(table_rows(name)) == 1


@pytest.mark.parametrize("name", sorted(perturbations()))
def test_every_parameter_of_a_perturbation_stands_in_its_row(name):
    (row,) = table_rows(name)
    for parameter in perturbations()[name].parameters.model_fields:
        assert f"`{parameter}`" in row


def test_local_links_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
