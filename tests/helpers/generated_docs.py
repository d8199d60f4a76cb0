"""The parts of docs/ that are generated: tables of keys, swaps, work-arounds, engines and the fuzz, and the diagram of the packages.

    python tests/helpers/generated_docs.py      (or: make docs)

rewrites them; `tests/test_readme.py` compares.
"""

import ast
import json
import re
import textwrap
import tomllib
import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic.fields import FieldInfo

from modality_interference.arguments import PluginArguments


ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "plugin" / "modality_interference"


def keys_table() -> str:
    """The recipe's keys: type, default and help, out of the fields of `PluginArguments`."""
    hints = typing.get_type_hints(PluginArguments, include_extras=True)
    lines = ["| key | type | default | what it does |", "| --- | --- | --- | --- |"]
    for item in fields(PluginArguments):
        default = item.default if item.default is not MISSING else None
        shown = "unset" if default is None else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        text = " ".join(str(item.metadata["help"]).split()).replace("|", "\\|")
        lines.append(f"| `{item.name}` | {_type(hints[item.name])} | {shown} | {text} |")

    return "\n".join(lines)


def presets_table() -> str:
    """What every preset sets."""
    from modality_interference.presets import PRESETS

    lines = ["| preset | consistency | attack | `batch_mix` |", "| --- | --- | --- | --- |"]
    for name, values in PRESETS.items():
        consistency = [values["consistency_method"], values.get("consistency_weight", "")]
        steps = f"{values['adversarial_steps']} steps" if "adversarial_steps" in values else ""
        attack = [values["adversarial_method"], steps, values.get("adversarial_epsilon", "")]
        parts = [" ".join(f"{part}" for part in cell if part) for cell in (consistency, attack)]
        lines.append(
            f"| `{name}` | {' | '.join(parts)} | {values.get('batch_mix', '')} |".replace("1 steps", "1 step")
        )

    return "\n".join(lines)


def _type(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        described = [part.description for part in arguments[1:] if isinstance(part, FieldInfo) and part.description]
        return described[-1] if described else _type(arguments[0])

    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)

    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(part) for part in arguments if part is not type(None))

    return {bool: "`true` or `false`", int: "a whole number", float: "a number", str: "a text"}[hint]


def packages_diagram() -> str:
    """The layers of the import-linter contract, top first, each with the first line of its docstring."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (contract,) = (contract for contract in contracts if contract["id"] == "layers")
    lines, above = ["```mermaid", "flowchart TB"], ""
    for number, layer in enumerate(contract["layers"]):
        names = [name.strip() for name in layer.split("|")]
        text = "<br/>".join(f"<b>{name}</b><br/>{'<br/>'.join(textwrap.wrap(_purpose(name), 60))}" for name in names)
        lines.append(f'    layer{number}["{text}"]')
        if above:
            lines.append(f"    {above} --> layer{number}")

        above = f"layer{number}"

    return "\n".join([*lines, "```"])


def _purpose(name: str) -> str:
    folder = PACKAGE / name
    source = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return docstring.split("\n\n")[0].replace("\n", " ").replace('"', "'").replace("`", "").rstrip(".")


def swaps_table() -> str:
    """What a run with the plugin replaces in LLaMA-Factory."""
    from modality_interference.integration.swaps import SWAPS

    lines = ["| of LLaMA-Factory | in | what the replacement adds |", "| --- | --- | --- |"]
    lines += [f"| `{swap.name}` | `{swap.module}` | {swap.why} |" for swap in SWAPS]
    return "\n".join(lines)


def workarounds_table() -> str:
    """The work-arounds of compat.py, out of the lines `For:`, `Cause:` and `Can go:` of their docstrings."""
    lines = ["| work-around | what it does, and for what | cause | can go |", "| --- | --- | --- | --- |"]
    for node in ast.parse((PACKAGE / "compat.py").read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            text = " ".join((ast.get_docstring(node) or "").split())
            found = re.match(r"(.*?[.;]) .*?For: (.*?) Cause: (.*?) Can go: (.*?\.)(?= |$)", text)
            assert found, f"compat.{node.name} does not say `For:`, `Cause:` and `Can go:`"
            what, purpose, *rest = (part.rstrip(".;") for part in found.groups())
            lines.append(f"| `{node.name}` | {' | '.join([f'{what}. *For:* {purpose}', *rest])} |")

    return "\n".join(lines)


def templates_table() -> str:
    """LLaMA-Factory's multimodal templates, and what is known of them."""
    from modality_interference.batching.templates import TEMPLATES, status

    lines = ["| template | models | |", "| --- | --- | --- |"]
    return "\n".join(
        [*lines, *(f"| `{name}` | {support.models} | {status(name)} |" for name, support in TEMPLATES.items())]
    )


def engines_table() -> str:
    """What `make test-engines` measured."""
    return (ROOT / "tests" / "engines" / "table.md").read_text(encoding="utf-8").strip()


def fuzz_table() -> str:
    """What `make fuzz` found."""
    return (ROOT / "tests" / "faults" / "fuzz_table.md").read_text(encoding="utf-8").strip()


def study_table(study: str, name: str) -> str:
    """A table of a study's published results, which `examples/<study>/summary.py` makes."""
    return (ROOT / "examples" / study / "summary" / f"{name}.md").read_text(encoding="utf-8").strip()


def versions_table() -> str:
    """What `python tests/compat/cells.py` found."""
    cells = json.loads((ROOT / "tests" / "compat" / "versions.json").read_text(encoding="utf-8")).values()
    first = next(iter(cells))
    heads = ["environment", *first["versions"], *first["checks"]]
    lines = [heads, ["---"] * len(heads)]
    for cell in cells:
        passed = ["yes" if text == "passed" else text for text in cell["checks"].values()]
        lines.append([f"{cell['what']} ({cell['date']})", *cell["versions"].values(), *passed])

    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_TABLES = ("overview", "families", "costs", "grounding", "tests")
STUDIES = {  # in `examples`: the word before the names of their tables, and which of these the page shows
    "digits_ablation": ("ablation", _TABLES),
    "digits_ablation/second_run": ("second run", ("overview", "tests")),
    "evidence": ("study", _TABLES),
    "clips_ablation": ("clips", ("overview", "attention", "tests", "costs")),
}
PARTS: dict[str, tuple[str, Callable[[], str]]] = {  # by the word after which a part's marks are called
    "keys": ("configuration.md", keys_table),
    "presets": ("configuration.md", presets_table),
    "packages": ("how_it_works.md", packages_diagram),
    "swaps": ("how_it_works.md", swaps_table),
    "work-arounds": ("how_it_works.md", workarounds_table),
    "templates": ("compatibility.md", templates_table),
    "engines": ("engines.md", engines_table),
    "versions": ("compatibility.md", versions_table),
    "fuzz": ("troubleshooting.md", fuzz_table),
    **{
        f"{title}'s {table}": ("evidence.md", partial(study_table, study, table))
        for study, (title, tables) in STUDIES.items()
        for table in tables
    },
}


def replaced(name: str) -> tuple[Path, str, str]:
    """The page that a part is on, its text, and its text with the part made anew."""
    file, make = PARTS[name]
    page = ROOT / "docs" / file
    text = page.read_text(encoding="utf-8")
    marks = re.compile(rf"(<!-- {name}: .*? -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    assert len(marks.findall(text)) == 1, f"docs/{file} needs the marks of `{name}` once"
    return page, text, marks.sub(lambda found: f"{found[1]}\n{make()}\n\n{found[2]}", text)


if __name__ == "__main__":
    for part in PARTS:
        path, _, new = replaced(part)
        path.write_text(new, encoding="utf-8")
