"""The notebook, executed as a user would: from the data to the report."""

import json
import os
import shutil
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient


EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOK = EXAMPLES / "notebook" / "first_diagnosis.ipynb"


def test_it_is_committed_without_outputs():
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(book)
    assert all(not cell.outputs and cell.execution_count is None for cell in book.cells if cell.cell_type == "code")


@pytest.mark.slow
def test_it_goes_from_the_rows_to_the_report(tmp_path, monkeypatch):
    """In a copy; `modality-interference` is this environment's."""
    for name in ("notebook", "own_data", "digits", "shared"):
        shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=shutil.ignore_patterns("work"))

    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    book = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(tmp_path / "notebook")}}
    NotebookClient(book, timeout=300, kernel_name="python3", resources=resources).execute()

    printed = "".join(output.get("text", "") for cell in book.cells for output in cell.get("outputs", []))
    assert "misleading_text" in printed and "work/diagnosis/interference.html" in printed
    found = json.loads((tmp_path / "notebook" / "work" / "diagnosis" / "interference.json").read_text())
    shapes = found["datasets"]["shapes"]["perturbations"]
    assert shapes["clean"]["rates"]["accuracy"]["value"] >= 0.8  # the rows are known by heart
    assert set(shapes) == {"clean", "misleading_text", "unrelated_text"}
    (report,) = [output["data"]["text/html"] for output in book.cells[-2].outputs]
    assert report.startswith("<div><iframe srcdoc=") and "misleading_text" in report
