"""Pairs of answers for preference tuning: tokenized with their twins, and collated so that each prompt comes with its answers.

A clean row and its twins have the same two answers, so an example keeps them once. In a batch, every prompt comes in a row for each
of its answers, and `PairBatch` says which rows are compared.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..data.records import Reason, TwinRecord
from ..data.sample import CHOSEN, REJECTED, WITHHELD, Message, References
from ..errors import ModalityInterferenceError, Unusable
from ..modality import CLEAN, Modality, is_counterfactual
from ..printable import printable_stdout
from .batch import Role, TwinBatch
from .collator import Loaded, TwinCollator
from .example import TokenizedExample, TokenizedRow
from .questions import last_turn_start
from .tokenize import TwinProcessor


PAIR_KEYS = ("pairs", "pair_of", "removed", "pair_names")
ABSTAINED = "clean_withheld"  # the name of a clean row's pair of its chosen answer and the one that withholds
PairName = tuple[str, int, str]  # dataset, key of the row, perturbation


@dataclass
class PairProcessor(TwinProcessor):
    """The processor for rows with a chosen and a rejected answer, and twins.

    As in LLaMA-Factory's own processor for pairs, the last answer alone has labels. A pair that does not fit into `cutoff_len` is
    dropped: of two answers that were cut off, nobody knows which is better.

    Args:
        needs_withheld: whether counterfactual rows need an answer that withholds.
    """

    needs_withheld: bool = False

    def _filled(self, example: TokenizedExample, row: dict[str, Any], record: TwinRecord) -> TokenizedExample:
        if len(row["_response"]) < 2:
            raise Unusable("no pair of answers", "a row needs a chosen and a rejected answer")

        chosen, *others = row["_response"]
        loaded: dict[tuple[Modality, str], Any] = {}
        prompt = self._asked(row["_prompt"], record)
        ids = [self._answer_ids({**row, "_response": [answer]}, prompt, record, loaded) for answer in others]
        example = super()._filled(example, {**row, "_response": [chosen]}, record)
        self._check_length(example.clean)
        example = replace(example, rejected_ids=ids[0], withheld_ids=ids[1] if len(ids) > 1 else [])
        longest = max(map(len, ids))
        lost = [self._lost(one, longest) for one in example.variants]
        gone = [self._lost(one, longest) or self._unanswered(one, example) for one in example.counterfactuals]
        return replace(
            example,
            variants=[one for one, reason in zip(example.variants, lost) if reason is None],
            counterfactuals=[one for one, reason in zip(example.counterfactuals, gone) if reason is None],
            dropped_twins=[*example.dropped_twins, *(reason for reason in (*lost, *gone) if reason is not None)],
        )

    def _answer_ids(
        self,
        row: dict[str, Any],
        prompt: list[Message],
        record: TwinRecord,
        loaded: dict[tuple[Modality, str], Any],
    ) -> list[int]:
        """The label ids of another answer to the clean row."""
        found = self._encode(row, prompt, row["_system"], record.media, loaded)
        self._check_length(found)
        return found.labels[last_turn_start(found.labels) :]

    def _encode(
        self,
        row: dict[str, Any],
        prompt: list[Message],
        system: str | None,
        references: References,
        loaded: dict[tuple[Modality, str], Any],
    ) -> TokenizedRow:
        found = super()._encode(row, prompt, system, references, loaded)
        start = last_turn_start(found.labels)
        return found.with_answer(start, found.labels[start:])

    def _check_length(self, row: TokenizedRow) -> None:
        limit = self.data_args.cutoff_len
        if len(row.input_ids) >= limit:
            raise Unusable(
                "pair truncated by cutoff_len", f"{limit} tokens are too few for the prompt with its answers"
            )

    def _lost(self, variant: TokenizedRow, longest: int) -> Reason | None:
        """Why a variant cannot be used with the longest other answer; None where it can."""
        limit = self.data_args.cutoff_len
        if last_turn_start(variant.labels) + longest < limit:
            return None

        return Reason(
            f"{variant.perturbation} row, pair truncated by cutoff_len", f"{limit} tokens are too few for it"
        )

    def _unanswered(self, gone: TokenizedRow, example: TokenizedExample) -> Reason | None:
        """Why a counterfactual row has nothing to prefer; None where it has."""
        if example.withheld_ids or not self.needs_withheld:
            return None

        return Reason(f"{gone.perturbation} row, no withheld answer", "the cell of the column `withheld` is empty")

    def print_data_example(self, example: dict[str, Any]) -> None:
        """Print the clean row with its chosen answer, its twins, and the other answers."""
        super().print_data_example(example)
        with printable_stdout():
            for name in (REJECTED, WITHHELD):
                print(f"{name} answer:\n{self.tokenizer.decode(example[f'{name}_ids'], skip_special_tokens=False)}")


@dataclass
class PairBatch:
    """A device batch of pairs.

    Attributes:
        rows: prompts with an answer each; an example's rows all belong to its clean row with the chosen answer (`twin_of`).
        pairs: (pairs, 2) the rows of the preferred answer and of the other.
        pair_of: (pairs,) the index of each pair's clean pair among the pairs; a clean pair's own.
        removed: (pairs,) whether the pair says what is preferred without the evidence (or, of the same two answers, with it).
        names: dataset, key and perturbation of every pair.
    """

    rows: TwinBatch
    pairs: Tensor
    pair_of: Tensor
    removed: Tensor
    names: Sequence[PairName]

    @classmethod
    def split(cls, inputs: dict[str, Any]) -> "PairBatch":
        """Split a collated batch; `inputs` is not changed."""
        rows = TwinBatch.split({key: value for key, value in inputs.items() if key not in PAIR_KEYS})
        return cls(rows, *(inputs[key] for key in PAIR_KEYS))

    @property
    def is_twin(self) -> Tensor:
        """(pairs,) whether the pair is a twin's."""
        return ~self.removed & (self.pair_of != torch.arange(len(self.pairs), device=self.pairs.device))

    @property
    def is_clean(self) -> Tensor:
        """(pairs,) whether the pair is a clean row's chosen and rejected answer."""
        return ~self.removed & ~self.is_twin


@dataclass
class PairCollator(TwinCollator):
    """The collator for pairs; see `PairBatch` for what it makes. All rows share their media, as twins do.

    Args:
        counterfactual: the recipe's `preference_counterfactual`.
    """

    counterfactual: str = "none"

    def _rows_of(self, example: TokenizedExample) -> list[tuple[Role, TokenizedRow]]:
        """A row for every prompt and each of its answers."""
        if not example.rejected_ids:
            raise ModalityInterferenceError(
                f"Dataset `{example.dataset}` was tokenized for another stage: its rows have no rejected answer. Remove the folder of "
                "`tokenized_path`, or name another one, and run again."
            )

        rows = []
        for role, row in super()._rows_of(example):
            rows += [(role, row), (Role.OPTION, _answered(row, REJECTED, example.rejected_ids))]

        gone = self._drawn(example.counterfactuals, f"{example.key}/counterfactuals")
        gone = gone if self.counterfactual != "none" else ()
        rows += [(Role.COUNTERFACTUAL, row) for row in gone]
        if gone and self.counterfactual == "symmpo":
            if not example.withheld_ids:
                raise ModalityInterferenceError(
                    f"Dataset `{example.dataset}` was tokenized without `preference_counterfactual: symmpo`: row {example.data_row} has "
                    "no answer that withholds. Remove the folder of `tokenized_path`, or name another one, and run again."
                )

            rows += [(Role.OPTION, _answered(row, WITHHELD, example.withheld_ids)) for row in (example.clean, *gone)]

        return rows

    def _collate(
        self,
        rows: list[TokenizedRow],
        examples: list[TokenizedExample],
        twin_of: list[int],
        roles: list[Role],
        media: dict[int, Loaded],
    ) -> dict[str, Any]:
        pairs = list(_pairs(rows, twin_of, self.counterfactual))
        clean = {twin_of[chosen]: index for index, (chosen, *_, name) in enumerate(pairs) if name == CLEAN}
        batch = super()._collate(rows, examples, twin_of, roles, media)
        batch["pairs"] = torch.tensor([pair[:2] for pair in pairs], dtype=torch.long).view(-1, 2)
        batch["pair_of"] = torch.tensor([clean[twin_of[chosen]] for chosen, *_ in pairs], dtype=torch.long)
        batch["removed"] = torch.tensor([removed for *_, removed, _ in pairs], dtype=torch.bool)
        batch["pair_names"] = [(examples[chosen].dataset, examples[chosen].key, name) for chosen, *_, name in pairs]
        return batch


def _answered(row: TokenizedRow, answer: str, ids: Sequence[int]) -> TokenizedRow:
    """The prompt of a row with another answer."""
    return replace(row.with_answer(last_turn_start(row.labels), ids), pair_answer=answer)


def _pairs(rows: list[TokenizedRow], twin_of: list[int], counterfactual: str) -> Iterator[tuple[int, int, bool, str]]:
    """(preferred row, other row, `PairBatch.removed`, name) of every pair, in the order of the rows.

    Without evidence, `mdpo` prefers an answer's clean row to its row without evidence. `symmpo` prefers the answer that withholds
    there and, with as many pairs, the chosen answer in the clean row.
    """
    places = {
        (first, row.perturbation, row.pair_answer): index for index, (row, first) in enumerate(zip(rows, twin_of))
    }
    for index, (row, first) in enumerate(zip(rows, twin_of)):
        name = row.perturbation
        # a batch of which no example can be read has a row without a pair
        if row.pair_answer != CHOSEN or (first, CLEAN, REJECTED) not in places:
            continue

        if not is_counterfactual(name):
            yield index, places[first, name, REJECTED], False, name
        elif counterfactual == "mdpo":
            yield first, index, True, name
        else:
            yield places[first, name, WITHHELD], index, True, name
            yield first, places[first, CLEAN, WITHHELD], True, ABSTAINED
