"""The registry of perturbations and formats: built-in and third-party ones are registered alike."""

import inspect
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from ..errors import ModalityInterferenceError
from ..messages import shown
from ..modality import Modality, is_counterfactual
from .sample import WITHHELD, ParsedRow, Sample


if TYPE_CHECKING:
    from .dataset import RawDataset, RowContext

RESERVED_NAMES = ("clean",)  # metrics call the clean rows so
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Parameters(BaseModel):
    """Base of a perturbation's parameters. A field's `description` is what error messages say is allowed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @property
    def label_suffix(self) -> str:
        """What the label in metrics adds to the perturbation's name, so that entries with other parameters can be told apart."""
        return ""

    def check(self, dataset: "RawDataset") -> None:
        """Look for what the perturbation needs from the dataset, before any row is read.

        Raises:
            ModalityInterferenceError: something is missing; the message says what.
        """


# (sample, rng, context, parameters) -> the perturbed sample, or None where the perturbation does not apply to it.
PerturbationFunction = Callable[[Sample, random.Random, "RowContext", Any], Sample | None]
# (raw row, dataset, rng) -> the sample and its raw media; raises Unusable.
FormatFunction = Callable[[Mapping[str, Any], "RawDataset", random.Random], ParsedRow]


@dataclass(frozen=True)
class Perturbation:
    """A registered perturbation; see `register_perturbation`."""

    name: str
    changes: Modality
    parameters: type[Parameters]
    function: PerturbationFunction
    removes_evidence: bool = False


@dataclass(frozen=True)
class Format:
    """A registered format; see `register_format`."""

    name: str
    columns: tuple[str, ...]
    optional: tuple[str, ...]
    keys: tuple[str, ...]
    function: FormatFunction
    base: str | None
    defaults: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    check: "Callable[[RawDataset], None] | None" = None
    asks_per_modality: bool = False
    ranking_columns: tuple[str, ...] = ()

    def required(self, ranking: bool) -> tuple[str, ...]:
        """The keys that `columns` of an entry must have; `ranking` is the entry's."""
        return self.ranking_columns if ranking else self.columns

    def allowed(self, ranking: bool) -> tuple[str, ...]:
        """The keys that it may have."""
        return (*self.required(ranking), *self.optional, *((WITHHELD,) if ranking else ()))


_PERTURBATIONS: dict[str, Perturbation] = {}
_FORMATS: dict[str, Format] = {}


def register_perturbation(
    name: str, *, changes: Modality, parameters: type[Parameters] = Parameters, removes_evidence: bool = False
) -> Callable[[PerturbationFunction], PerturbationFunction]:
    """Decorator that makes a function available as a perturbation.

    Args:
        name: what `perturbations` in `dataset_info.json` calls it; lower-case letters, digits and underscores.
        changes: the one modality that it changes.
        parameters: the model of its parameters, a subclass of `Parameters`.
        removes_evidence: whether nothing, or little, is left of what that modality said about the answer, so that `counterfactuals` can
            name it, too. One that only adds something, such as a misleading sentence, leaves the evidence where it is.

    Raises:
        ModalityInterferenceError: the name is malformed, reserved or taken.
    """
    _check_name("perturbation", name, _PERTURBATIONS)
    if not isinstance(changes, Modality) or not (isinstance(parameters, type) and issubclass(parameters, Parameters)):
        raise ModalityInterferenceError(
            f"perturbation `{name}`: `changes` must be a Modality and `parameters` a subclass of Parameters, found "
            f"{shown(changes)} and {shown(parameters)}."
        )

    def register(function: PerturbationFunction) -> PerturbationFunction:
        _check_signature("perturbation", name, function, ("sample", "rng", "context", "parameters"))
        _PERTURBATIONS[name] = Perturbation(name, changes, parameters, function, removes_evidence)
        return function

    return register


def register_format(
    name: str,
    *,
    columns: tuple[str, ...],
    optional: tuple[str, ...] = (),
    keys: tuple[str, ...] = (),
    base: str | None = None,
    defaults: Mapping[str, str] | None = None,
    labels: tuple[str, ...] = (),
    check: "Callable[[RawDataset], None] | None" = None,
    asks_per_modality: bool = False,
    ranking_columns: tuple[str, ...] = (),
) -> Callable[[FormatFunction], FormatFunction]:
    """Decorator that makes a function available as a format (`formatting` in `dataset_info.json`).

    Args:
        name: of the format.
        columns: keys that `columns` in `dataset_info.json` must have.
        optional: keys that it may have. A format that lists `choices` here or in `columns` has options only where
            the dataset names that column; one that does not list it makes the options itself.
        keys: keys of `TwinsSpec` that belong to certain formats and that this one uses.
        base: the LLaMA-Factory format whose converter `dataset.base_converter` is.
        defaults: the columns where `dataset_info.json` has no `columns` block.
        labels: columns that hold class labels; where these are texts and nobody has named the classes, the classes are the
            texts that the data has.
        check: called before any row is read, raises ModalityInterferenceError where the dataset does not fit.
        asks_per_modality: whether a row is asked about one modality after the other (the key `ask_about`), each in a row of
            its own with the modality in the column `audio_visual.ASKED`; such a format has no `relevant`.
        ranking_columns: what takes the place of `columns` where an entry has `ranking: true`; empty where the format reads no
            pairs of a chosen and a rejected answer.

    Raises:
        ModalityInterferenceError: the name is malformed, reserved or taken.
    """
    _check_name("format", name, _FORMATS)

    def register(function: FormatFunction) -> FormatFunction:
        _check_signature("format", name, function, ("row", "dataset", "rng"))
        _FORMATS[name] = Format(
            name,
            columns,
            optional,
            keys,
            function,
            base,
            dict(defaults or {}),
            labels,
            check,
            asks_per_modality,
            ranking_columns,
        )
        return function

    return register


def perturbations() -> dict[str, Perturbation]:
    """The registered perturbations by name."""
    return dict(_PERTURBATIONS)


def formats() -> dict[str, Format]:
    """The registered formats by name."""
    return dict(_FORMATS)


@contextmanager
def undone_on_error() -> Iterator[None]:
    """Forget what the body registers where it fails, so that it can be tried again."""
    before = [(registry, dict(registry)) for registry in (_PERTURBATIONS, _FORMATS)]
    try:
        yield
    except BaseException:
        for registry, content in before:
            registry.clear()
            registry.update(content)  # type: ignore[arg-type]

        raise


def _check_signature(kind: str, name: str, function: Any, arguments: tuple[str, ...]) -> None:
    """Refuse a function that cannot be called as the data path will call it, before any row is read."""
    try:
        signature = inspect.signature(function)
        signature.bind(*arguments)
    except (TypeError, ValueError) as error:
        raise ModalityInterferenceError(
            f"{kind} `{name}`: its function is called with ({', '.join(arguments)}), and {shown(function)} takes something "
            f"else ({error})."
        ) from error


def _check_name(kind: str, name: str, taken: Mapping[str, Any]) -> None:
    if not _NAME.fullmatch(name) or name in RESERVED_NAMES or is_counterfactual(name):
        raise ModalityInterferenceError(
            f"{kind} name `{name}` cannot be registered; allowed: lower-case letters, digits and underscores, "
            f"except {', '.join(RESERVED_NAMES)} and what begins with `counterfactual_`."
        )

    if name in taken:
        raise ModalityInterferenceError(f"{kind} `{name}` is registered already; choose another name.")
