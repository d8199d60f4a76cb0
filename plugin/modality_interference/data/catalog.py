"""What formats and perturbations there are and what they take, as their registrations, models and docstrings say it.

What installed extensions have registered is there, too, once `integration.extensions.load_extensions` has run.
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from ..modality import Modality
from .registry import Format, Parameters, Perturbation, formats, perturbations
from .spec import TwinsSpec, twins_keys
from .standard import STANDARD_SET, WrittenPerturbation


_SECTION = re.compile(r"^Attributes:\n((?:[ ]{4}.*\n?|\n(?=[ ]{4}))+)", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^[ ]{4}(\w+): (.*(?:\n[ ]{8,}.*)*)", re.MULTILINE)
_OWN_PACKAGE = __name__.split(".")[0]


@dataclass(frozen=True)
class Described:
    """A key of the `twins` block, or a parameter of a perturbation.

    Attributes:
        name: of the key.
        required: whether it must be given.
        default: as JSON has it; None where it is required, or unset.
        allowed: what it may be, in words; "" where nobody says.
        help: what it does; "" where nobody says.
        json_schema: what it may be, as JSON Schema.
    """

    name: str
    required: bool
    default: Any
    allowed: str
    help: str
    json_schema: dict[str, Any]


@dataclass(frozen=True)
class DescribedPerturbation:
    """A perturbation.

    Attributes:
        name: of the perturbation.
        changes: the modality.
        description: what it does.
        needs: what the dataset must have for it; "" for nothing.
        parameters: its parameters.
        package: that has registered it.
        removes_evidence: whether `counterfactuals` can name it, too.
    """

    name: str
    changes: str
    description: str
    needs: str
    parameters: list[Described]
    package: str
    removes_evidence: bool


@dataclass(frozen=True)
class DescribedFormat:
    """A format.

    Attributes:
        name: of the format.
        description: what it reads.
        columns: keys that `columns` must have.
        optional: keys that it may have.
        ranking_columns: keys that `columns` must have where `ranking: true` says that rows are pairs; empty for no pairs.
        default_columns: the columns where there is no `columns`.
        keys: those of the `twins` block.
        package: that has registered it.
    """

    name: str
    description: str
    columns: list[str]
    optional: list[str]
    ranking_columns: list[str]
    default_columns: dict[str, str]
    keys: list[str]
    package: str


def described_perturbations() -> list[DescribedPerturbation]:
    """All registered perturbations, by what they change."""
    order = list(Modality)
    return [
        _perturbation(item) for item in sorted(perturbations().values(), key=lambda item: order.index(item.changes))
    ]


def _perturbation(item: Perturbation) -> DescribedPerturbation:
    return DescribedPerturbation(
        name=item.name,
        changes=item.changes.value,
        description=_summary(item.function),
        needs=_needs(item.parameters),
        parameters=described(item.parameters),
        package=_package(item.function),
        removes_evidence=item.removes_evidence,
    )


def described_formats() -> list[DescribedFormat]:
    """All registered formats, in the order in which they were."""
    return [_format(item) for item in formats().values()]


def _needs(parameters: type[Parameters]) -> str:
    """What `check` looks for, as its docstring says it (`Look for other clips`)."""
    if parameters.check is Parameters.check:
        return ""

    return _summary(parameters.check).removeprefix("Look for ").rstrip(".")


def _format(item: Format) -> DescribedFormat:
    return DescribedFormat(
        name=item.name,
        description=_summary(item.function),
        columns=list(item.columns),
        optional=list(item.optional),
        ranking_columns=list(item.ranking_columns),
        default_columns=dict(item.defaults),
        keys=twins_keys(item),
        package=_package(item.function),
    )


@dataclass(frozen=True)
class DescribedSet:
    """What `"perturbations": "standard"` stands for, where a modality may change.

    Attributes:
        name: of the modality.
        perturbations: the names.
    """

    name: str
    perturbations: list[str]


def described_standard() -> list[DescribedSet]:
    """The standard set by what it changes."""
    return [DescribedSet(modality.value, list(map(_written, items))) for modality, items in STANDARD_SET.items()]


def _written(item: WrittenPerturbation) -> str:
    """A perturbation as a text: its name, and its parameters."""
    if isinstance(item, str):
        return item

    parameters = (f"{key}: {', '.join(value)}" for key, value in item.items() if key != "name")
    return f"{item['name']} ({'; '.join(parameters)})"


def described_keys() -> list[Described]:
    """The keys of the `twins` block, whatever the format."""
    return described(TwinsSpec)


def described(model: type[BaseModel]) -> list[Described]:
    """The fields of a model: what its docstring says of each, what their descriptions allow, and their defaults."""
    schema, helps = model.model_json_schema(), _attribute_helps(model)
    return [
        Described(
            name=name,
            required=field.is_required(),
            default=schema["properties"][name].get("default"),
            allowed=field.description or "",
            help=helps.get(name, ""),
            json_schema={
                key: value for key, value in schema["properties"][name].items() if key not in ("title", "description")
            },
        )
        for name, field in model.model_fields.items()
    ]


def _attribute_helps(model: type[BaseModel]) -> dict[str, str]:
    """What the sections `Attributes:` of a model's docstring, and of those of its bases, say of each field."""
    helps: dict[str, str] = {}
    for base in reversed(model.__mro__):
        for section in _SECTION.findall(inspect.cleandoc(base.__dict__.get("__doc__") or "") + "\n"):
            helps |= {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(section)}

    return {name: text for name, text in helps.items() if name in model.model_fields}


def _summary(function: Callable[..., Any]) -> str:
    """The first paragraph of a docstring."""
    return " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())


def _package(function: Callable[..., Any]) -> str:
    return (getattr(function, "__module__", None) or "unknown").split(".")[0]


def is_extension(item: DescribedPerturbation | DescribedFormat) -> bool:
    """Whether another package has registered it."""
    return item.package != _OWN_PACKAGE
