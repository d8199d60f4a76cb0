"""The card: its headings, and metadata that may be hostile; every problem is named, nothing is connected to or run."""

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modality_interference.dataset_dir.card import HEADINGS, SIZE_CATEGORIES, card_problems


CARD = "# A data recipe\n" + "".join(f"## {heading}\nSomething.\n" for heading in HEADINGS)


def problems(folder: Path, metadata: str) -> list[str]:
    (folder / "README.md").write_text(f"---\n{metadata}\n---\n\n{CARD}")
    return card_problems(folder)


@pytest.mark.parametrize(
    ("card", "missing"),
    [
        (CARD, []),
        (CARD.replace("## ", "### ").replace("Licence", "LICENSE"), []),
        (CARD.replace("## Size\nSomething.", "## Size\n### Rows\n12"), []),
        (CARD.replace("## Size\nSomething.", "## Size\n```\n## Size\n```"), []),
        (CARD.replace("## Size", "```\n## Size\n```"), ["has no heading `Size`"]),
        (CARD.replace("## Size", "Size"), ["has no heading `Size`"]),
        (CARD.replace("## Mapping\nSomething.", "## Mapping\n"), ["says nothing under the heading `Mapping`"]),
    ],
)
def test_cards(card, missing, tmp_path):
    (tmp_path / "README.md").write_text(card)
    found = card_problems(tmp_path)
    assert len(found) == len(missing) and all(text in problem for text, problem in zip(missing, found))


def test_the_headings_of_a_card_with_metadata(tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n" + CARD.replace("## Size", "Size"))
    assert card_problems(tmp_path) == ["`README.md` has no heading `Size`"]


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "license: mit",
        "license: [mit, cc-by-4.0]\nlanguage:\n- en\n\ntags: [a, b]\nconfigs:\n- config_name: default\n  data_files: x.json",
        *(f"size_categories: {size}" for size in SIZE_CATEGORIES),
    ],
    ids=lambda text: text[:20],
)
def test_good_metadata(metadata, tmp_path, monkeypatch):
    def refuse(*_: Any) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert problems(tmp_path, metadata) == []


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ("license: 3", "`license` in the metadata of `README.md` must be a text or a list of texts, found 3"),
        ("tags: [a, 1]", "`tags` in the metadata of `README.md` must be a text or a list of texts, found ['a', 1]"),
        ("size_categories: huge", "`size_categories` in the metadata of `README.md` is 'huge'. Allowed: `n<1K`, "),
        ("- a", "ValueError: repo card metadata block should be a dict"),
        (": : :", "ParserError: "),
        ("1: 2", "TypeError: "),
        ("date: 2020-99-99", "ValueError: month must be in 1..12"),
        ("number: " + "9" * 8000, "ValueError: Exceeds the limit"),
        ("ignore_metadata_errors: true", "TypeError: "),
        ("!!python/object/apply:os.system ['touch executed']", "ConstructorError: "),
        ("a: &a [x]\nb: *a", "it has aliases (`*name`), which are not allowed"),
        ("[" * 9000, "it is nested more than 16 levels deep"),
        ("{a: " * 3000, "it is nested more than 16 levels deep"),
        ("a: b\n" + "\n" * 900_000, "it is longer than 16,384 characters"),
    ],
    ids=lambda text: text[:20],
)
def test_bad_metadata_is_one_problem(metadata, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    began = time.process_time()
    (problem,) = problems(tmp_path, metadata)
    assert said in problem and len(problem) < 500 and time.process_time() - began < 10
    assert not (tmp_path / "executed").exists()


@settings(max_examples=200, deadline=None)
@given(metadata=st.text(st.sampled_from("-:[]{}&*!|>#'\"a1 \n\t,?%@`~.<"), max_size=40))
def test_any_metadata_gives_a_list_of_problems(metadata, tmp_path_factory):
    found = problems(tmp_path_factory.getbasetemp(), metadata)
    assert all(isinstance(problem, str) and problem for problem in found)
