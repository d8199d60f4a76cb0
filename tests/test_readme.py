"""README and docs/ say what the code does: whatever they name exists, whatever users write is documented, links lead somewhere."""

import json
import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from helpers.generated_docs import PARTS, replaced

import modality_interference
from modality_interference.arguments import DEFAULTS
from modality_interference.data import registry
from modality_interference.data.registry import formats, perturbations
from modality_interference.data.spec import TwinsSpec
from modality_interference.results import RATES
from modality_interference.train.losses import LOGGED


ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
ALL_PAGES = [
    *PAGES,
    ROOT / "examples" / "README.md",
    ROOT / "examples" / "own_data" / "README.md",
    ROOT / "benchmarks" / "README.md",
]
ALL_PAGES += sorted((ROOT / "data_recipes").glob("*/README.md"))
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
TOP = ("plugin", "tests", "examples", "benchmarks", "docs", "data_recipes")
MADE = ("work", "data", "saves")  # folders that commands write
# of other packages, of models and of files that readers write themselves
FOREIGN = {
    "fsdp_version",
    "image_min_pixels",
    "my_data",
    "pets_finetune",
    "my_package",
    "depends_on",
    "mixed_questions",
    "tests_v1",
    "qwen_omni_merge",
}


@cache
def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, *languages: str) -> list[str]:
    return [code for language, code in FENCE.findall(read(page)) if language in languages]


def prose(page: Path) -> str:
    return FENCE.sub("", read(page))


def table_rows(page: str, key: str) -> list[str]:
    return [line for line in read(ROOT / page).splitlines() if re.match(rf"\| `{re.escape(key)}`(, | \|)", line)]


def first_cells(page: str, heading: str) -> list[str]:
    """The names in the first column of the table below a heading."""
    section = re.split(r"^#+ ", read(ROOT / page).split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


# --- what is generated ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS)
def test_generated_parts_are_up_to_date(part):
    page, old, new = replaced(part)
    assert old == new, f"{name_of(page)} is out of date: run `make docs`"


# --- what users write is documented -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", DEFAULTS)
def test_every_key_is_in_the_table_of_keys(key):
    assert len(table_rows("docs/configuration.md", key)) == 1


def test_every_format_is_in_the_table_of_formats():
    assert sorted(first_cells("docs/data.md", "Formats")) == sorted(formats())


def test_every_column_of_a_format_is_in_its_row():
    for name, layout in formats().items():
        (row,) = table_rows("docs/data.md", name)
        if layout.base is None:
            columns = {column for column in (*layout.columns, *layout.optional) if len(column) > 1}
            assert {column for column in columns if not re.search(rf"\b{column}\b", row)} == set(), name


def test_every_perturbation_is_in_the_table_of_perturbations():
    assert sorted(first_cells("docs/data.md", "Perturbations")) == sorted(perturbations())


@pytest.mark.parametrize("name", perturbations())
def test_a_perturbation_s_row_has_its_modality_and_parameters(name):
    (row,) = table_rows("docs/data.md", name)
    assert row.split("|")[2].strip() == perturbations()[name].changes.value
    documented = set(re.findall(r"`(\w+)`", row.split("|")[4]))
    assert documented - {"dataset_dir"} == set(perturbations()[name].parameters.model_fields)


def test_every_key_of_the_twins_block_is_in_its_table():
    assert sorted(first_cells("docs/data.md", "The twins block")) == sorted(TwinsSpec.model_fields)


def test_every_rate_is_in_the_table_of_metrics():
    assert first_cells("docs/evaluation.md", "Metrics") == list(RATES)


def test_every_logged_figure_is_in_its_table():
    assert sorted(first_cells("docs/configuration.md", "What is logged")) == sorted(LOGGED)


# --- what the pages name exists ---------------------------------------------------------------------------------------


@cache
def stock_keys() -> frozenset[str]:
    """Keys of LLaMA-Factory's recipes."""
    from llamafactory.hparams import DataArguments, FinetuningArguments, GeneratingArguments, ModelArguments
    from llamafactory.hparams import TrainingArguments as Training

    parts = (DataArguments, FinetuningArguments, GeneratingArguments, ModelArguments, Training)
    return frozenset(name for part in parts for name in part.__dataclass_fields__)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_keys_of_recipes_exist(page):
    for block in blocks(page, "yaml"):
        assert set(yaml.safe_load(block)) - stock_keys() - set(DEFAULTS) == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_twins_blocks_are_valid(page):
    for block in blocks(page, "json"):
        for name, entry in json.loads(block).items():
            if isinstance(entry, dict) and "twins" in entry:
                TwinsSpec.parse(entry["twins"], name, entry["formatting"])
                layout = formats()[entry["formatting"]]
                assert set(entry["columns"]) <= set(layout.allowed(entry.get("ranking", False)))


@pytest.mark.parametrize("page", ALL_PAGES, ids=name_of)
def test_commands_name_what_exists(page):
    targets = re.findall(r"^([a-z-]+):", read(ROOT / "Makefile"), re.MULTILINE)
    commands = "\n".join([*blocks(page, "bash"), *re.findall(r"`([^`\n]+)`", prose(page))])
    assert set(re.findall(r"^make ([a-z-]+)", commands, re.MULTILINE)) <= set(targets)
    paths = re.findall(r"\b(?:python|train|config_file) ([\w./]++)(?!\$)", commands)
    assert [path for path in paths if not exists(path)] == []


@pytest.mark.parametrize("page", ALL_PAGES, ids=name_of)
def test_options_of_the_command_exist(page):
    found = re.findall(r"modality-interference ((?:(?:clips|suite) )?[a-z]+)((?:[^\n`\\]|\\\n)*)", read(page))
    for command, rest in found:
        if command in ("clips", "recipes", "suite"):
            continue

        options = set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", rest.split("#")[0].split("->")[0]))
        assert options - help_options(tuple(command.split())) == set(), command


@cache
def help_options(command: tuple[str, ...]) -> frozenset[str]:
    import contextlib
    import io

    from modality_interference.cli import main

    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        main([*command, "--help"])

    found = frozenset(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", re.sub(r"\x1b\[[0-9;]*m", "", text.getvalue())))
    assert "--help" in found, f"`modality-interference {' '.join(command)}` is no command"
    return found


def exists(path: str) -> bool:
    parts = path.strip("/").split("/")
    return parts[0] not in TOP or any(part in MADE for part in parts[1:]) or (ROOT / path).exists()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_named_files_exist(page):
    named = re.findall(rf"`((?:{'|'.join(TOP)})/[\w./-]*)`", read(page))
    inside = re.findall(rf"`((?:{'|'.join(package_folders())})/(?:[\w./]*\.py)?)`", read(page))
    assert [path for path in named if not exists(path)] == []
    assert [path for path in inside if not (ROOT / "plugin" / "modality_interference" / path).exists()] == []


def package_folders() -> list[str]:
    return [path.parent.name for path in (ROOT / "plugin" / "modality_interference").glob("*/__init__.py")]


@cache
def sources() -> str:
    """All code and examples of this repository, as one text."""
    files = [path for top in TOP if top not in ("docs",) for path in (ROOT / top).rglob("*")]
    files += [ROOT / "setup.cfg", ROOT / "pyproject.toml", ROOT / "Makefile"]
    kinds = (".py", ".yaml", ".json", ".cfg", ".toml", ".txt", ".j2")
    own = [path for path in files if path.suffix in kinds and "work" not in path.relative_to(ROOT).parts]
    return "\n".join(path.read_text(encoding="utf-8") for path in own if path != Path(__file__))


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name_of)
def test_names_in_code_font_are_used_somewhere(page):
    """A name that was renamed in the code must not live on in the docs."""
    spans = re.findall(r"`([^`\n]+)`", prose(page))
    names = {name for span in spans for name in re.findall(r"(?<![\w/.<-])[a-z]+(?:_[a-z0-9]+)+(?![\w/-])", span)}
    unknown = {name for name in names if not re.search(rf"\b{name}", sources())}
    assert unknown - stock_keys() - FOREIGN == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_runs(page, monkeypatch):
    monkeypatch.setattr(registry, "_PERTURBATIONS", registry.perturbations())
    for block in blocks(page, "python"):
        exec(compile(block, name_of(page), "exec"), {})


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load(read(ROOT / "CITATION.cff"))
    assert citation["version"] == modality_interference.__version__
    assert f"## [{modality_interference.__version__}]" in read(ROOT / "CHANGELOG.md")
    assert {item["url"].rsplit("/", 1)[1] for item in citation["references"]} == {"2505.19616", "2511.22826"}


# --- links ------------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", ALL_PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in link:
            continue

        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


# --- the README's first diagnosis -------------------------------------------------------------------------------------


def test_the_readme_is_short():
    assert len(read(ROOT / "README.md").splitlines()) <= 130


def test_the_readme_s_row_is_recognised(tmp_path):
    from modality_interference.integration.prepare import open_file, twins_entry
    from modality_interference.modality import Modality

    (row,) = (json.loads(block) for block in blocks(ROOT / "README.md", "json"))
    (tmp_path / "pets.jsonl").write_text(json.dumps(row) + "\n")
    with open_file(tmp_path / "pets.jsonl", None) as data:
        entry = twins_entry(data, [Modality.IMAGE], None)

    (quickstart, *_) = (json.loads(block) for block in blocks(ROOT / "docs" / "quickstart.md", "json"))
    assert {"file_name": "pets.jsonl", **entry} == quickstart["pets"]
