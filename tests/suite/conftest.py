"""Suites that the tests of exports and scores share; each is made once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.av_data import write_clips
from helpers.runs import write_datasets

from modality_interference.cli import main


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder with `pictures` and `sums`, 4 rows each."""
    return write_datasets(tmp_path_factory.mktemp("suite_data"), rows=4)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder with `clips`: two of them, of 1 and 1.25 seconds."""
    return write_clips(tmp_path_factory.mktemp("suite_clips"), clips=2)


@pytest.fixture(scope="session")
def export(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Export a dataset by the command; the same arguments are exported once."""
    made: dict[tuple[str, ...], Path] = {}

    def make(data: str, to: str, *options: str) -> Path:
        key = (data, to, *options)
        if key not in made:
            made[key] = tmp_path_factory.mktemp("suite") / "export"
            assert main(["suite", "export", data, "-o", str(made[key]), "--to", to, *options]) == 0

        return made[key]

    return make
