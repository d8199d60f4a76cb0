"""A JSON Schema of `dataset_info.json`, made of the models that check it, for editors.

It says what a file may hold as far as that can be seen in the file alone: `check` also looks at files, pools, columns and rows.
"""

from collections.abc import Collection, Mapping
from typing import Any

from ..data.catalog import DescribedPerturbation, described, described_perturbations
from ..data.registry import Format, formats
from ..data.spec import COUNTERFACTUALS, TwinsSpec, twins_keys
from ..data.standard import STANDARD
from ..modality import Modality
from .entry import HUB_KEYS, PLAIN_COLUMNS, TAGS, Entry


DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PERTURBATION = "PerturbationSpec"  # pydantic's name of the definition of one item of `perturbations`
_CLOSED = {"type": "object", "additionalProperties": False}
_COLUMN = {"type": ["string", "null"]}


def info_schema(known_formats: Collection[str]) -> dict[str, Any]:
    """The schema of a whole `dataset_info.json`; `$defs/twins` is that of a `twins` block of any format.

    Args:
        known_formats: LLaMA-Factory's formats, and those of twins.
    """
    definitions = {name: item for name, item in TwinsSpec.model_json_schema()["$defs"].items() if name != "Parameters"}
    items = described_perturbations()
    definitions |= {name: item for each in items for name, item in _definitions(each).items()}
    definitions[_PERTURBATION] = _perturbation(items)
    definitions["twins"] = _twins(None, items)
    definitions |= {f"twins of {name}": _twins(layout, items) for name, layout in formats().items()}
    definitions["entry"] = _entry(known_formats)
    return {
        "$schema": DIALECT,
        "title": "dataset_info.json of LLaMA-Factory, with twins",
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/entry"},
        "$defs": {name: _tidy(item) for name, item in definitions.items()},
    }


def _definitions(item: DescribedPerturbation) -> dict[str, Any]:
    """Definitions that the parameters of a perturbation refer to."""
    from ..data.registry import perturbations

    return perturbations()[item.name].parameters.model_json_schema().get("$defs", {})


def _perturbation(items: list[DescribedPerturbation]) -> dict[str, Any]:
    """One item of `perturbations`: a name, or an object with parameters."""
    bare = [item for item in items if not any(parameter.required for parameter in item.parameters)]
    names = {"enum": [item.name for item in bare], "enumDescriptions": [item.description for item in bare]}
    return {"anyOf": [names, *map(_perturbation_object, items)]}


def _perturbation_object(item: DescribedPerturbation) -> dict[str, Any]:
    name = {"const": item.name, "description": f"{item.description} Changes {item.changes}."}
    required = [parameter.name for parameter in item.parameters if parameter.required]
    return _CLOSED | {
        "properties": {"name": name} | _properties(item.parameters),
        "required": ["name", *required],
    }


def _twins(layout: Format | None, items: list[DescribedPerturbation]) -> dict[str, Any]:
    """A `twins` block of a format, or of any."""
    keys = list(TwinsSpec.model_fields) if layout is None else twins_keys(layout)
    properties = _properties([key for key in described(TwinsSpec) if key.name in keys])
    if "relevant" in properties:  # a text names a column, which is not called like a modality
        for branch in properties["relevant"]["anyOf"]:
            if branch.get("type") == "string":
                branch["not"] = {"enum": [modality.value for modality in Modality]}

    named = properties["perturbations"]
    help_text = named.pop("description")
    standard = {"const": STANDARD}
    listed = named | {"items": {"anyOf": [named["items"], standard]}}
    properties["perturbations"] = {"anyOf": [listed, standard], "default": [], "description": help_text}
    evidence = _named([item.name for item in items if item.removes_evidence])
    properties[COUNTERFACTUALS]["items"] = {"allOf": [properties[COUNTERFACTUALS]["items"], evidence]}
    schema = _CLOSED | {"properties": properties}
    if layout is None or "relevant" not in keys:
        return schema

    rules = [rule for modality in Modality for rule in _rules(modality, items)]
    return schema | {"required": ["relevant"], "allOf": rules}


def _rules(modality: Modality, items: list[DescribedPerturbation]) -> list[dict[str, Any]]:
    """Where a modality is relevant, no perturbation may change it; where it is not, no counterfactual."""
    changing = _named([item.name for item in items if item.changes == modality])
    has = {"contains": {"const": modality.value}}
    return [
        {
            "if": {"properties": {"relevant": {"type": "array"} | contains}, "required": ["relevant"]},
            "then": {"properties": {key: {"items": {"not": changing}}}},
        }
        for contains, key in ((has, "perturbations"), ({"not": has}, COUNTERFACTUALS))
    ]


def _named(names: list[str]) -> dict[str, Any]:
    """One of these perturbations, as a name or an object."""
    by_name = {"type": "object", "properties": {"name": {"enum": names}}, "required": ["name"]}
    return {"anyOf": [{"enum": names}, by_name]}


def _entry(known_formats: Collection[str]) -> dict[str, Any]:
    """An entry: a source, the columns of its format, and a `twins` block where the format makes twins."""
    properties = Entry.model_json_schema()["properties"]
    del properties["script_url"]  # never allowed
    properties["formatting"]["enum"] = sorted(known_formats)
    properties["tags"] = _CLOSED | {"properties": dict.fromkeys(TAGS, _COLUMN)}
    with_twins = {"properties": {"formatting": {"enum": list(formats())}}, "required": ["formatting"]}
    plain = {"properties": {"twins": {"type": "null"}, "columns": _columns(PLAIN_COLUMNS, ())}}
    sources = ("file_name", "cloud_file_name", *HUB_KEYS)
    return _CLOSED | {
        "properties": properties,
        "anyOf": [{"required": [key]} for key in sources],
        "allOf": [{"if": with_twins, "else": plain}, *map(_of_format, formats().values())],
    }


def _of_format(layout: Format) -> dict[str, Any]:
    needed = () if layout.defaults else layout.columns
    rules: dict[str, Any] = {
        "properties": {
            "twins": {"$ref": f"#/$defs/twins of {layout.name}"},
            "columns": _columns(layout.allowed(False), layout.columns),
            "ranking": {"const": False},
        },
        "required": ["twins", *(["columns"] if needed else [])],
    }
    if layout.ranking_columns:
        pairs = _columns(layout.allowed(True), layout.ranking_columns)
        rules = {
            "if": {"properties": {"ranking": {"const": True}}, "required": ["ranking"]},
            "then": {
                "properties": {"twins": rules["properties"]["twins"], "columns": pairs},
                "required": ["twins", "columns"],
            },
            "else": rules,
        }

    return {
        "if": {"properties": {"formatting": {"const": layout.name}}, "required": ["formatting"]},
        "then": rules,
    }


def _columns(allowed: Collection[str], required: Collection[str]) -> dict[str, Any]:
    return _CLOSED | {"properties": dict.fromkeys(allowed, _COLUMN), "required": list(required)}


def _properties(items: list[Any]) -> dict[str, Any]:
    """Properties of an object, each with what it does and what it may be for an editor to show."""
    return {
        item.name: dict(item.json_schema)
        | {"description": " ".join(f"{text.rstrip('.')}." for text in _texts(item.help, item.allowed))}
        for item in items
    }


def _texts(does: str, allowed: str) -> list[str]:
    return [text for text in (does, f"Allowed: {allowed}" if allowed and allowed not in does else "") if text]


def _tidy(schema: Any) -> Any:
    """Without pydantic's titles and defaults that stand for nothing; a text must hold something besides spaces."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]

    if not isinstance(schema, Mapping):
        return schema

    kept = {
        key: _tidy(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str)) and not (key == "default" and value is None)
    }
    return {"pattern": r"\S"} | kept if kept.get("type") == "string" and kept.get("minLength") == 1 else kept
