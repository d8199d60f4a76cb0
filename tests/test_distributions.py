"""The wheel and the source archive: what they hold, that they work, and what a package index shows."""

import configparser
import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def distributions(tmp_path_factory) -> tuple[Path, Path]:
    """The source archive, and the wheel that is built out of it."""
    folder = tmp_path_factory.mktemp("build")
    source = folder / "source"  # a copy: an older `build` folder would lend the wheel files that are gone
    shutil.copytree(ROOT / "plugin", source / "plugin", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)

    words = [sys.executable, "-m", "build", "--outdir", str(folder / "dist"), str(source)]
    process = subprocess.run(words, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-2000:]
    (archive,), (wheel,) = ((folder / "dist").glob(pattern) for pattern in ("*.tar.gz", "*.whl"))
    return archive, wheel


@pytest.mark.slow
def test_the_wheel_holds_everything(distributions):
    with zipfile.ZipFile(distributions[1]) as archive:
        names = set(archive.namelist())
        (points,) = [name for name in names if name.endswith("entry_points.txt")]
        declared = configparser.ConfigParser()
        declared.read_string(archive.read(points).decode())
        assert {section: dict(declared[section]) for section in declared.sections()} == {
            "torch.backends": {"modality_interference": "modality_interference.bootstrap:install"},
            "console_scripts": {"modality-interference": "modality_interference.cli:main"},
        }

    package = ROOT / "plugin" / "modality_interference"
    files = {path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert {str(path.relative_to(package.parent)) for path in files} <= names
    assert {"modality_interference/py.typed", "modality_interference/data/perturbations/sentences.txt"} <= names
    assert not [name for name in names if name.startswith(("tests", "examples", "plugin"))]


@pytest.mark.slow
def test_the_package_index_takes_them(distributions):
    words = [sys.executable, "-m", "twine", "check", "--strict", *map(str, distributions)]
    process = subprocess.run(words, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-2000:]
    assert process.stdout.count("PASSED") == 2


@pytest.mark.slow
def test_the_wheel_works_where_there_is_no_clone(distributions, datasets, tmp_path):
    """Templates, styles and sentences are found: a preview needs all of them."""
    with zipfile.ZipFile(distributions[1]) as archive:  # what installing a wheel without code of its own does
        archive.extractall(tmp_path / "site")

    code = f"""
import modality_interference
from modality_interference.cli import main

assert modality_interference.__file__.startswith({str(tmp_path / "site")!r}), modality_interference.__file__
main(["preview", {str(datasets)!r}, "pictures", "-n", "2"])
"""
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert process.returncode == 0, process.stderr[-2000:]
    assert "<style>" in (tmp_path / "preview.html").read_text()


def test_the_readme_on_a_package_index():
    readme = "![Rates](docs/rates.png) and [docs](docs/README.md#top), [here](#top), [there](https://a.org/b).\n```\n[x](y)\n```\n"
    describe = runpy.run_path(str(ROOT / "setup.py"))["description"]
    found = describe(readme, "https://git.example/me/it/", "1.2")
    raw, blob = (f"https://git.example/me/it/{kind}/v1.2/docs" for kind in ("raw", "blob"))
    kept = "[here](#top), [there](https://a.org/b).\n```\n[x](y)\n```\n"
    assert found == f"![Rates]({raw}/rates.png) and [docs]({blob}/README.md#top), {kept}"
    assert describe(readme, None, "1.2") == f" and docs, {kept}"
    real = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not re.findall(r"\]\((?!https?:|#)", describe(real, "https://git.example/me/it", "1.2"))
