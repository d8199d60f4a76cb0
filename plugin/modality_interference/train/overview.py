"""What a run trains on, and which terms of its loss can act: the table at the start of training.

Rows are counted with the definitions of training itself (`TwinBatch.masked_rows`, `aligned_rows`), on batches without media.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch.nn.utils.rnn import pad_sequence

from ..arguments import PluginArguments
from ..batching.batch import TwinBatch
from ..batching.example import TokenizedExample
from ..batching.questions import options_read
from ..batching.tokens import ModalityTokens, perturbation_mask
from ..modality import IGNORE_LABEL, KINDS, PLAIN, kind_of
from ..presets import preset_line
from .alignment import aligned_rows


SAMPLE = 1000  # examples whose tokens are read
_CHUNK = 50  # of them at a time
_READ = (  # columns: no media
    "input_ids", "labels", "prompt_start", "relevant", "variants", "counterfactuals", "choices", "answer", "abstention", "option_ids",
)  # fmt: skip
_BLOCK = "Give a dataset a `twins` block"


@dataclass(frozen=True)
class KindCounts:
    """The examples of one kind; the means are per example, over those that were read.

    Attributes:
        examples: how many there are.
        read: how many of them were read.
        twins: mean number of twins that an epoch trains on.
        masked: mean number of rows that an attack can change, of the clean row and these twins.
        aligned: mean number of rows with relevant and irrelevant media.
        counterfactuals: mean number of counterfactual rows that have a term.
        termless: mean number of those to which `counterfactual_method` does not apply.
    """

    examples: int
    read: int
    twins: float
    masked: float
    aligned: float
    counterfactuals: float = 0.0
    termless: float = 0.0


@dataclass(frozen=True)
class Term:
    """A term of the loss.

    Attributes:
        name: with its method.
        weight: its factor.
        acts: whether it can ever be other than 0; None where that is not known.
        why: what it acts on, or why it cannot.
        fix: what to do where it cannot.
    """

    name: str
    weight: float
    acts: bool | None
    why: str
    fix: str = ""

    @property
    def warning(self) -> str | None:
        """What is said of a term that has a weight and cannot act."""
        if self.acts is not False or not self.weight:
            return None

        return f"`{self.name}` has the weight {self.weight:g} and cannot act: {self.why}. {self.fix}."


def overview(dataset: Any, tokens: ModalityTokens, arguments: PluginArguments, seed: int) -> tuple[str, list[str]]:
    """Describe a training dataset and the loss on it.

    Args:
        dataset: tokenized examples; of a stream nothing is read.
        tokens: the model's media and special tokens.
        arguments: methods and weights.
        seed: of the examples that are read.

    Returns:
        two tables as one text, a warning for each term that cannot act, and one where abstention is always right.
    """
    kinds = count_kinds(dataset, tokens, arguments, seed) if isinstance(dataset, Dataset) else None
    terms = loss_terms(kinds, arguments)
    rows = [["term of the loss", "weight", "can act", ""]]
    rows += [[term.name, f"{term.weight:g}", _ACTS[term.acts] if term.weight else "off", term.why] for term in terms]
    preset = preset_line(arguments)
    text = "\n".join([_described(kinds, arguments), *([f"  {preset}"] if preset else []), *_aligned_columns(rows)])
    always = abstention_always_right(dataset) if isinstance(dataset, Dataset) else None
    return text, [warning for warning in (*(term.warning for term in terms), always) if warning is not None]


def abstention_always_right(dataset: Dataset) -> str | None:
    """What is said where every example that offers an abstention has it as its answer; None where one has not."""
    names = ["abstention", "choices", "answer"]
    if not set(names) <= set(dataset.column_names):
        return None

    offered = dataset.select_columns(names).select(
        [index for index, wording in enumerate(dataset["abstention"]) if wording]
    )
    if not len(offered) or any(row["choices"][row["answer"]] != row["abstention"] for row in offered):
        return None

    return (
        f"All {len(offered):,} examples that offer an abstention, such as {offered[0]['abstention']!r}, have it as their answer: the "
        "model learns to abstain wherever it can. Train on answerable examples that offer it, too: a dataset with `abstention` "
        "and without `drop_asked_modality`."
    )


_ACTS = {True: "yes", False: "no", None: "unknown"}


def _described(kinds: dict[str, KindCounts] | None, arguments: PluginArguments) -> str:
    if kinds is None:
        return "Trains on a stream: how many examples, twins and rows with irrelevant tokens come is not known."

    examples, read = (sum(getattr(found, name) for found in kinds.values()) for name in ("examples", "read"))
    sampled = "counted in all of them" if read == examples else f"estimated from {read:,} of them"
    head = ["kind of example", "examples", "twins each", "rows each that an attack can change"]
    rows = [
        [kind, f"{found.examples:,}", f"{found.twins:.2f}", f"{found.masked:.2f}", _left_out(kind, arguments)]
        for kind, found in kinds.items()
    ]
    return "\n".join([f"Trains on {examples:,} examples; twins and rows {sampled}:", *_aligned_columns([head, *rows])])


def _left_out(kind: str, arguments: PluginArguments) -> str:
    return "" if arguments.mix is None or kind in arguments.mix else "(not in `batch_mix`)"


def _aligned_columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines whose columns begin below each other."""
    columns = max(map(len, rows))
    cells = [[*row, *[""] * (columns - len(row))] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(columns)]
    for row in cells:
        yield ("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths))).rstrip()


def count_kinds(
    dataset: Dataset, tokens: ModalityTokens, arguments: PluginArguments, seed: int
) -> dict[str, KindCounts]:
    """Count the examples of each kind, and read some of each.

    Args:
        dataset: tokenized examples; those that were tokenized without the plugin are `plain`.
        tokens: the model's media and special tokens.
        arguments: how many twins of an example are trained on, and what is asked of counterfactual rows.
        seed: of the examples that are read.

    Returns:
        counts by kind, in the order of `modality.KINDS`.
    """
    relevant = _relevant(dataset)
    indices: dict[str, list[int]] = {}
    for bits in np.unique(relevant):
        indices.setdefault(kind_of(int(bits)), []).extend(np.flatnonzero(relevant == bits).tolist())

    rng, share = random.Random(seed), SAMPLE // max(1, len(indices))
    columns = dataset.select_columns([column for column in _READ if column in dataset.column_names])
    counts = {}
    for kind in sorted(indices, key=KINDS.index):
        chosen = sorted(rng.sample(indices[kind], min(share, len(indices[kind]))))
        examples = map(TokenizedExample.from_arrow, columns.select(chosen))
        sums = torch.stack([_sums(chunk, tokens, arguments) for chunk in _chunks(examples)]).sum(dim=0)
        counts[kind] = KindCounts(len(indices[kind]), len(chosen), *(sums / len(chosen)).tolist())

    return counts


def _relevant(dataset: Dataset) -> np.ndarray:
    """(examples,) relevant sets as bits."""
    if "relevant" not in dataset.column_names or not len(dataset):
        return np.zeros(len(dataset), dtype=int)

    tables = dataset.select_columns("relevant").with_format("arrow").iter(batch_size=10_000)
    return np.concatenate([table["relevant"].to_numpy() for table in tables])


def _chunks(examples: Iterable[TokenizedExample]) -> Iterator[list[TokenizedExample]]:
    iterator = iter(examples)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def _sums(examples: list[TokenizedExample], tokens: ModalityTokens, arguments: PluginArguments) -> torch.Tensor:
    """(5,) sums over examples: twins, rows with a mask, rows of the alignment loss, counterfactual rows with and without a term."""
    batch, limit = _without_media(examples, tokens), arguments.twins_limit
    weight = torch.ones(len(batch.labels), dtype=torch.float64)  # how often an epoch takes a row
    is_twin = batch.twin_of != torch.arange(len(batch.labels))
    if limit is not None:
        siblings = torch.bincount(batch.twin_of) - 1
        weight[is_twin] = (limit / siblings[batch.twin_of[is_twin]].double()).clamp(max=1)

    sums = [weight[rows].sum() for rows in (is_twin, batch.masked_rows, aligned_rows(batch))]
    gone = [0, 0]
    for example in examples if arguments.counterfactual_on else ():
        taken = len(example.counterfactuals) if limit is None else min(limit, len(example.counterfactuals))
        gone[options_read(example, arguments.counterfactual_method) is None] += taken

    return torch.cat([torch.stack(sums), torch.tensor(gone, dtype=torch.float64)])


def _without_media(examples: list[TokenizedExample], tokens: ModalityTokens) -> TwinBatch:
    """A batch of examples with what the collator knows of their tokens, and without their media."""
    rows = [row for example in examples for row in (example.clean, *example.variants)]
    number = [index for index, example in enumerate(examples) for _ in range(1 + len(example.variants))]
    firsts = np.cumsum([0, *(1 + len(example.variants) for example in examples)])
    ids = pad_sequence([torch.tensor(row.input_ids) for row in rows], batch_first=True)
    labels = pad_sequence([torch.tensor(row.labels) for row in rows], batch_first=True, padding_value=IGNORE_LABEL)
    attended = pad_sequence([torch.ones(len(row.input_ids), dtype=torch.long) for row in rows], batch_first=True)
    relevant = torch.tensor([examples[index].relevant for index in number])
    start = torch.tensor([row.prompt_start for row in rows])
    bits = tokens.bits(ids, attended, rows)
    return TwinBatch.split(
        {
            "labels": labels,
            "twin_of": torch.tensor([firsts[index] for index in number]),
            "relevant": relevant,
            "token_modality": bits,
            "perturbation_mask": perturbation_mask(bits, attended, labels, relevant, start),
        }
    )


def loss_terms(kinds: dict[str, KindCounts] | None, arguments: PluginArguments) -> list[Term]:
    """The terms of the loss, and whether they can act.

    Args:
        kinds: of the training data; None where nothing is known.
        arguments: methods and weights.
    """
    used = None if kinds is None else {k: found for k, found in kinds.items() if not _left_out(k, arguments)}
    return [
        Term("cross-entropy", 1, True, "on clean rows and twins"),
        _adversarial(used, arguments),
        _consistency(used, arguments),
        _alignment(used, arguments),
        _counterfactual(used, arguments),
    ]


def _mean(kinds: dict[str, KindCounts], name: str, arguments: PluginArguments) -> float:
    """A mean per example that a batch holds."""
    shares = {kind: (arguments.mix or {}).get(kind, found.examples) for kind, found in kinds.items()}
    total = sum(shares[kind] * getattr(found, name) for kind, found in kinds.items())
    return total / max(1, sum(shares.values()))


def _sampled(kinds: dict[str, KindCounts]) -> str:
    """What "none" is said of."""
    read, examples = (sum(getattr(found, name) for found in kinds.values()) for name in ("read", "examples"))
    return "no example" if read == examples else f"none of the {read:,} examples that were read"


def _adversarial(kinds: dict[str, KindCounts] | None, arguments: PluginArguments) -> Term:
    name = f"adversarial_method: {arguments.adversarial_method}"
    if not arguments.adversarial_on:
        return Term(name, 0, False, "")

    weight = arguments.adversarial_weight
    if kinds is None:
        return Term(name, weight, None, "needs rows with tokens of irrelevant modalities")

    fix = f"{_BLOCK} whose `relevant` names what its answers depend on, or set `adversarial_method: none`"
    if mean := _mean(kinds, "masked", arguments):
        return Term(name, weight, True, f"on {mean:.2f} rows an example, epsilon {arguments.epsilon:g}")

    if set(kinds) == {PLAIN}:
        return Term(name, weight, False, "plain datasets do not say which inputs are irrelevant", fix)

    return Term(name, weight, False, f"{_sampled(kinds)} has tokens of an irrelevant modality", fix)


def _consistency(kinds: dict[str, KindCounts] | None, arguments: PluginArguments) -> Term:
    name = f"consistency_method: {arguments.consistency_method}"
    if not arguments.consistency_on:
        return Term(name, 0, False, "")

    weight = arguments.consistency_weight
    if kinds is None:
        return Term(name, weight, None, "needs rows with twins or adversarial copies")

    copies = _mean(kinds, "masked", arguments) if arguments.adversarial_on else 0.0
    if mean := _mean(kinds, "twins", arguments) + copies:
        return Term(name, weight, True, f"between a clean row and {mean:.2f} variants")

    fix = f"{_BLOCK} with `perturbations`, or set `consistency_method: none`"
    return Term(name, weight, False, f"{_sampled(kinds)} has a twin or an adversarial copy", fix)


def _alignment(kinds: dict[str, KindCounts] | None, arguments: PluginArguments) -> Term:
    name, weight = "alignment_weight", arguments.alignment_weight
    if not arguments.alignment_on:
        return Term(name, 0, False, "")

    if kinds is None:
        return Term(name, weight, None, "needs rows with relevant and irrelevant media")

    if mean := _mean(kinds, "aligned", arguments):
        return Term(name, weight, True, f"on {mean:.2f} rows an example")

    why = f"{_sampled(kinds)} has both media that its answer depends on and media that it does not depend on"
    return Term(
        name, weight, False, why, "Train on such rows (clips with video and audio), or set `alignment_weight: 0`"
    )


_TERMLESS = {  # rows to which a method does not apply
    "contrast": "have abstention as their right answer",
    "uniform": "have no options, or abstention as their right answer",
    "abstain": "offer no abstention among options",
}


def _counterfactual(kinds: dict[str, KindCounts] | None, arguments: PluginArguments) -> Term:
    name, weight = f"counterfactual_method: {arguments.counterfactual_method}", arguments.counterfactual_weight
    if not arguments.counterfactual_on:
        return Term(name, 0, False, "")

    if kinds is None:
        return Term(name, weight, None, "needs counterfactual rows")

    termless, left = _mean(kinds, "termless", arguments), _TERMLESS[arguments.counterfactual_method]
    if mean := _mean(kinds, "counterfactuals", arguments):
        more = f"; {termless:.2f} more {left}" if termless else ""
        return Term(name, weight, True, f"on {mean:.2f} counterfactual rows an example{more}")

    if termless:
        fix = "Take another `counterfactual_method`, or set `counterfactual_weight: 0`"
        return Term(name, weight, False, f"all counterfactual rows ({termless:.2f} an example) {left}", fix)

    fix = f"{_BLOCK} with `counterfactuals`, write `tokenized_path` anew with this recipe, or set `counterfactual_weight: 0`"
    return Term(name, weight, False, f"{_sampled(kinds)} has a counterfactual row", fix)
