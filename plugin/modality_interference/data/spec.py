"""The `twins` block of `dataset_info.json`: its model, and errors that say how to fix it."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, StringConstraints, ValidationError

from ..errors import ModalityInterferenceError
from ..messages import explain, listed, shown, suggestion, unknown_key
from ..modality import Modality, counterfactual_label
from .options import MAX_OPTIONS
from .registry import Format, Parameters, formats, perturbations
from .standard import STANDARD, written_out


MAX_PERTURBATIONS = 64
COUNTERFACTUALS = "counterfactuals"
PERTURBATION_KEYS = ("perturbations", COUNTERFACTUALS)  # keys of the block that are lists of perturbations
MODALITY = "{modality}"  # in a question about clips: visual, audio
_MODALITIES = ", ".join(f'"{modality}"' for modality in Modality)
_EXAMPLE = '{"relevant": ["image"], "perturbations": ["misleading_text"]}'
Model = TypeVar("Model", bound=BaseModel)
_Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class PerturbationSpec(BaseModel):
    """One item of `perturbations` or of `counterfactuals`.

    Attributes:
        name: of the registered perturbation.
        parameters: validated, an instance of the perturbation's own model.
        label: what metrics call it: the name and `Parameters.label_suffix`, with `_2`, `_3`, ... where the list has that
            several times; of a counterfactual, `counterfactual_` before that.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str
    parameters: SerializeAsAny[Parameters]
    label: str

    @property
    def changes(self) -> Modality:
        """The modality that the perturbation changes."""
        return perturbations()[self.name].changes

    @property
    def removes_evidence(self) -> bool:
        """Whether nothing is left of what that modality said about the answer."""
        return perturbations()[self.name].removes_evidence


class TwinsSpec(BaseModel):
    """The `twins` block of a dataset.

    Attributes:
        relevant: the modalities that the answer depends on, or the name of a column that says so row by row; None for
            formats that ask about one modality after the other.
        perturbations: what makes the twins: names or objects; `standard`, alone or among them, is a set that fits the rows; empty for rows that only
            bring `relevant` (for `batch_mix`, the alignment loss and an attack).
        counterfactuals: perturbations of a relevant modality that take away what the answer rests on. The answer is not to be
            kept then, so such rows are no twins: the diagnosis uses them, and trainings that ask for it.
        answer: what the model shall answer: an option's letter or its text.
        shuffle_options: whether the options come in an order drawn for each row, for data that always puts the right one first.
        classes: the class names, where the label column has no ClassLabel feature.
        options: how many options a question offers (fewer where there are fewer classes), or all.
        question: what is asked about every image or clip, for clips also by modality; None for the format's own words.
        ask_about: which questions are asked about a clip.
        drop_asked_modality: whether the modality that a question is about is removed.
        abstention: a further option that says that one cannot tell; right where the asked modality is removed.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    relevant: Annotated[tuple[Modality, ...], Field(min_length=1, max_length=len(Modality))] | _Text | None = Field(
        None,
        description=f"a non-empty list out of {_MODALITIES}, or the name of a column that holds such lists",
    )
    perturbations: Annotated[tuple[PerturbationSpec, ...], Field(max_length=MAX_PERTURBATIONS)] = ()
    counterfactuals: Annotated[tuple[PerturbationSpec, ...], Field(max_length=MAX_PERTURBATIONS)] = ()
    answer: Literal["letter", "text"] = Field("letter", description='"letter" or "text"')
    shuffle_options: bool = Field(False, description="true or false")
    classes: Annotated[tuple[_Text, ...], Field(min_length=2)] | None = Field(
        None, description="a list of at least two class names"
    )
    options: Annotated[int, Field(ge=2, le=MAX_OPTIONS)] | Literal["all"] = Field(
        4, description=f'a whole number from 2 to {MAX_OPTIONS}, or "all"'
    )
    question: _Text | dict[Literal["video", "audio"], _Text] | None = Field(
        None, description='a text that is not empty, or for clips an object {"video": "...", "audio": "..."}'
    )
    ask_about: Literal["both", "video", "audio"] = Field("both", description='"both", "video" or "audio"')
    drop_asked_modality: bool = Field(False, description="true or false")
    abstention: _Text | None = Field(None, description='a text that is not empty, such as "None of the above"')

    @property
    def relevant_column(self) -> str | None:
        """The column that says what is relevant, where one does."""
        return self.relevant if isinstance(self.relevant, str) else None

    @property
    def asked_modalities(self) -> tuple[Modality, ...]:
        """The modalities that are asked about, one question each."""
        return (Modality.VIDEO, Modality.AUDIO) if self.ask_about == "both" else (Modality(self.ask_about),)

    def option_count(self, classes: int) -> int:
        """How many options a question about one of so many classes offers, abstention apart."""
        return classes if self.options == "all" else min(self.options, classes)

    @classmethod
    def parse(cls, block: Any, dataset: str, formatting: str, columns: Collection[str] = ()) -> "TwinsSpec":
        """Validate a `twins` block.

        Args:
            block: the value of `twins` in `dataset_info.json`.
            dataset: the dataset's name, for messages.
            formatting: the dataset's `formatting`, one of the registered formats.
            columns: keys that the dataset's `columns` name; on its media depends what `standard` stands for.

        Raises:
            ModalityInterferenceError: anything is wrong with it; names the dataset, the key, what was found and
                what is allowed.
        """
        where = f"dataset `{dataset}`: `twins"
        layout = _find_format(formatting, dataset)
        if not isinstance(block, Mapping):
            raise ModalityInterferenceError(f"{where}` must be an object such as {_EXAMPLE}, found {shown(block)}.")

        _check_keys(block, layout, where)
        items = {
            key: _parse_perturbations(block, key, written_out(key, block, layout, columns, where), where)
            for key in PERTURBATION_KEYS
        }
        plain = {key: value for key, value in block.items() if key not in items}
        spec = _validate(cls, plain, where).model_copy(
            update={**items, COUNTERFACTUALS: _gone(items[COUNTERFACTUALS])}
        )
        _check_question(spec, layout, where)
        if layout.asks_per_modality:
            _check_ask_about(spec, where)
        else:
            _check_relevant(spec, where)

        _check_counterfactuals(spec, layout, where)
        return spec


PLAIN = TwinsSpec.model_validate(
    {}
)  # of datasets without a `twins` block: no twins, and nothing is known of what answers depend on


def read_relevant(value: Any) -> frozenset[Modality]:
    """Read a cell of a `relevant` column.

    Args:
        value: "image", "image+text", "image,text" or a list of modalities.

    Raises:
        ValueError: it is empty or names something else; says what is allowed.
    """
    names = value.replace("+", ",").split(",") if isinstance(value, str) else value
    allowed = [modality.value for modality in Modality]
    if isinstance(names, (list, tuple)) and names:
        found = [name.strip().lower() if isinstance(name, str) else name for name in names]
        if all(name in allowed for name in found):
            return frozenset(Modality(name) for name in found)

    raise ValueError(f"{shown(value)}; allowed: {_MODALITIES}, joined by + or a comma, or a list of them")


def _find_format(formatting: str, dataset: str) -> Format:
    known = formats()
    if formatting not in known:
        raise ModalityInterferenceError(
            f"dataset `{dataset}`: `formatting` is `{formatting}`, but `twins` needs one of {listed(known)}."
            f"{suggestion(str(formatting), known)}"
        )

    return known[formatting]


def twins_keys(layout: Format) -> list[str]:
    """The keys that a `twins` block of a format may have."""
    of_formats = _keys_of_formats()
    keys = [key for key in TwinsSpec.model_fields if key not in of_formats or key in layout.keys]
    return [key for key in keys if key != "relevant" or not layout.asks_per_modality]


def _keys_of_formats() -> set[str]:
    """Keys that belong to certain formats."""
    return {key for layout in formats().values() for key in layout.keys}


def _check_keys(block: Mapping[str, Any], layout: Format, where: str) -> None:
    of_formats, allowed = _keys_of_formats(), twins_keys(layout)
    if layout.asks_per_modality and "relevant" in block:
        raise ModalityInterferenceError(
            f"{where}.relevant` is not used by the format `{layout.name}`, which asks about one modality after the "
            "other. Remove the key, and say with `ask_about` what to ask about."
        )

    for key in block:
        if key in of_formats and key not in allowed:
            users = [other.name for other in formats().values() if key in other.keys]
            raise ModalityInterferenceError(
                f"{where}.{key}` is not used by the format `{layout.name}`, only by {listed(users)}. Remove the key."
            )

        if key not in allowed:
            before, _, parent = where.rpartition("`")
            raise ModalityInterferenceError(f"{before}{unknown_key(f'{parent}.{key}', str(key), allowed)}.")

    if "relevant" not in block and not layout.asks_per_modality:
        raise ModalityInterferenceError(
            f"{where}.relevant` is missing; give {TwinsSpec.model_fields['relevant'].description}."
        )


def _parse_perturbations(
    block: Mapping[str, Any], key: str, items: Sequence[tuple[int, Any]] | None, where: str
) -> tuple[PerturbationSpec, ...]:
    """The perturbations under a key.

    Args:
        block: that it is in.
        key: one of PERTURBATION_KEYS.
        items: with their places in the list; None where it is none.
        where: begins the message, up to the key.
    """
    if items is None or len(items) > MAX_PERTURBATIONS:
        standard = f', or "{STANDARD}"' if key != COUNTERFACTUALS else ""
        raise ModalityInterferenceError(
            f"{where}.{key}` must be a list of at most {MAX_PERTURBATIONS} names or objects{standard}, found {shown(block[key])}."
        )

    specs: list[PerturbationSpec] = []
    for index, item in items:
        name, parameters = _parse_perturbation(item, f"{where}.{key}[{index}]")
        label = _free_label(f"{name}{parameters.label_suffix}", {spec.label for spec in specs})
        specs.append(PerturbationSpec(name=name, parameters=parameters, label=label))

    return tuple(specs)


def _parse_perturbation(item: Any, where: str) -> tuple[str, Parameters]:
    name = item.get("name") if isinstance(item, Mapping) else item
    if not isinstance(name, str):
        raise ModalityInterferenceError(
            f'{where}` must be a name or an object with a name, such as {{"name": "long_context", "tokens": 100}},'
            f" found {shown(item)}."
        )

    known = perturbations()
    if name not in known:
        raise ModalityInterferenceError(
            f"{where}` names the unknown perturbation {shown(name)}.{suggestion(name, known)} "
            f"Registered: {listed(sorted(known))}."
        )

    model = known[name].parameters
    given = {key: value for key, value in item.items() if key != "name"} if isinstance(item, Mapping) else {}
    return name, _validate(model, given, where)


def _free_label(name: str, taken: set[str]) -> str:
    label, count = name, 1
    while label in taken:
        count += 1
        label = f"{name}_{count}"

    return label


def _gone(items: tuple[PerturbationSpec, ...]) -> tuple[PerturbationSpec, ...]:
    """Items of `counterfactuals` under labels of their own."""
    return tuple(item.model_copy(update={"label": counterfactual_label(item.label)}) for item in items)


def _check_relevant(spec: TwinsSpec, where: str) -> None:
    if isinstance(spec.relevant, str):
        if spec.relevant in list(Modality):
            raise ModalityInterferenceError(
                f'{where}.relevant` is "{spec.relevant}", and a text there names a column. For all rows write '
                f'["{spec.relevant}"]; a column must have another name.'
            )

        return

    for index, item in enumerate(spec.perturbations):
        if item.changes in (spec.relevant or ()):
            relevant = ", ".join(spec.relevant or ())
            raise ModalityInterferenceError(
                f"{where}.perturbations[{index}]`: `{item.name}` changes {item.changes}, which is relevant (`relevant` "
                f"is {relevant}). A perturbation may only change other modalities: remove it, or correct `relevant`."
                f"{_elsewhere(item)}"
            )


def _elsewhere(item: PerturbationSpec) -> str:
    return " What takes the evidence away belongs into `counterfactuals`." if item.removes_evidence else ""


def _check_counterfactuals(spec: TwinsSpec, layout: Format, where: str) -> None:
    if spec.counterfactuals and spec.drop_asked_modality:
        raise ModalityInterferenceError(
            f"{where}.{COUNTERFACTUALS}`: `drop_asked_modality` has taken the evidence away from all rows already. Remove one of "
            "the two keys."
        )

    changed = spec.asked_modalities if layout.asks_per_modality else spec.relevant
    for index, item in enumerate(spec.counterfactuals):
        found = f"{where}.{COUNTERFACTUALS}[{index}]`: `{item.name}`"
        if not item.removes_evidence:
            allowed = sorted(name for name, known in perturbations().items() if known.removes_evidence)
            raise ModalityInterferenceError(
                f"{found} takes nothing away that an answer may rest on, so the answer may stay. Allowed: {listed(allowed)}."
            )

        if isinstance(changed, tuple) and item.changes not in changed:
            why = (
                f'`ask_about` is "{spec.ask_about}"'
                if layout.asks_per_modality
                else f"`relevant` is {', '.join(changed)}"
            )
            raise ModalityInterferenceError(
                f"{found} changes {item.changes}, and the answers do not depend on that ({why}). Name it in `perturbations`, "
                "or one here that changes what they depend on."
            )


def _check_question(spec: TwinsSpec, layout: Format, where: str) -> None:
    if not layout.asks_per_modality:
        if isinstance(spec.question, dict):
            raise ModalityInterferenceError(
                f"{where}.question` must be a text that is not empty, found {shown(spec.question)}."
            )

        return

    if isinstance(spec.question, dict) and (missing := set(spec.asked_modalities) - set(spec.question)):
        raise ModalityInterferenceError(
            f'{where}.question` has no question about {", ".join(sorted(missing))}, and `ask_about` is "{spec.ask_about}". Add it.'
        )

    if isinstance(spec.question, str) and len(spec.asked_modalities) > 1 and MODALITY not in spec.question:
        raise ModalityInterferenceError(
            f"{where}.question` asks the same about video and audio. Write {MODALITY} where it shall say `visual` or `audio`, or "
            'give an object {"video": "...", "audio": "..."}.'
        )


def _check_ask_about(spec: TwinsSpec, where: str) -> None:
    for index, item in enumerate(spec.perturbations):
        if all(item.changes is modality for modality in spec.asked_modalities):
            raise ModalityInterferenceError(
                f"{where}.perturbations[{index}]`: `{item.name}` changes {item.changes}, the only modality that is asked "
                f'about (`ask_about` is "{spec.ask_about}"). Remove it, or set `ask_about` to "both".'
            )


def _validate(model: type[Model], values: Mapping[str, Any], where: str) -> Model:
    """Validate as JSON: strictly, yet with lists for tuples and texts for modalities, as the file has them."""
    try:
        return model.model_validate_json(json.dumps(values, allow_nan=False))
    except ValidationError as error:
        before, _, parent = where.rpartition("`")
        raise ModalityInterferenceError(f"{before}{explain(error, model, parent)}.") from error
    except (TypeError, ValueError, RecursionError) as error:  # from a dict in Python, or nested thousands deep
        raise ModalityInterferenceError(f"{where}` is not JSON: {error}. Found {shown(values)}.") from error
