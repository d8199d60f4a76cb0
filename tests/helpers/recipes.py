"""Recipes of examples/, alone or with the overrides that a table of examples/README.md gives."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf


ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
INDEX = (EXAMPLES / "README.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Recipe:
    """A recipe as the command line gives it.

    Attributes:
        name: of the recipe or of the row in its table of overrides.
        path: of the YAML file.
        overrides: `key=value` words.
    """

    name: str
    path: Path
    overrides: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name

    @property
    def keys(self) -> dict[str, Any]:
        """The keys with the overrides, as LLaMA-Factory's `read_args` merges them."""
        merged = OmegaConf.merge(OmegaConf.load(self.path), OmegaConf.from_cli(list(self.overrides)))
        keys = OmegaConf.to_container(merged)
        assert isinstance(keys, dict)
        return {str(key): value for key, value in keys.items()}


def table(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading of examples/README.md: the text of every cell, without backticks."""
    section = re.split(r"^##+ ", INDEX.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[2:]]


def ablation() -> list[Recipe]:
    """The runs of the ablation's table; each writes into its own folder, as the commands below the table do."""
    path = EXAMPLES / "ablation.yaml"
    return [
        Recipe(name, path, (f"output_dir=saves/ablation/{name}", *overrides.split()))
        for name, _, overrides in table("Ablation")
    ]


def published() -> list[Recipe]:
    """The paper's configurations, by their names."""
    return [
        Recipe(name, EXAMPLES / f"{recipe}.yaml", tuple(overrides.split()))
        for name, recipe, overrides in table("Published configurations")
    ]


def engines() -> dict[str, tuple[list[str], Recipe]]:
    """What starts an engine, and its recipe, by the engine's title in the table."""
    path = EXAMPLES / "engines.yaml"
    found = {}
    for title, command in table("Engines"):
        words = command.split()
        position = words.index("examples/engines.yaml")
        found[title] = words[:position], Recipe(title, path, tuple(words[position + 1 :]))

    return found
