"""The loss on counterfactual rows, written as plainly as possible: every option is a row of its own, its likelihood is read whole."""

import math
import os
from itertools import permutations
from typing import Any

import torch
from torch import Tensor


class Gone:
    """A row without its evidence, its clean row, and rows that have each option in place of the answer.

    Args:
        row: `reference_step.Row`.
        model: what runs them.
        collator: of the training.
        example: the tokenized example.
        variant: one of its counterfactual rows.
        clean: its clean row.
    """

    def __init__(
        self, row: type, model: Any, collator: Any, example: dict[str, Any], variant: dict[str, Any], clean: Any
    ) -> None:
        self.clean, self.row = clean, row(model, collator, example, variant, 0)
        self.vocabulary = model.get_input_embeddings().weight.shape[0]
        tokenizer, labels = collator.tokenizer, variant["labels"]
        start = 1 + max(place for place, label in enumerate(labels) if label == -100)
        if labels[start : start + len(self.row.thought)] == self.row.thought:
            start += len(self.row.thought)

        self.last = len(labels) - start  # tokens of the last answer
        said = tokenizer.decode(labels[start:], skip_special_tokens=True).strip()
        texts, right = list(example["choices"]), example["answer"]
        if texts and said == "ABCDEFGH"[right]:
            texts = list("ABCDEFGH"[: len(texts)])
        elif not texts or said != texts[right]:
            texts = []

        ids = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
        if any(other[: len(one)] == one for one, other in permutations(ids, 2)):
            ids = [own + tokenizer.encode("<|im_end|>\n", add_special_tokens=False) for own in ids]

        self.common = min(len(os.path.commonprefix(ids)), min(map(len, ids)) - 1) if ids else 0
        self.options = [
            row(
                model, collator, example,
                variant | {"input_ids": variant["input_ids"][:start] + own, "labels": [-100] * start + own}, 0,
            )
            for own in ids
        ]  # fmt: skip
        offered = example["abstention"] in example["choices"]
        self.abstention = example["choices"].index(example["abstention"]) if offered else None
        self.right = right

    def applies(self, method: str) -> bool:
        """Whether the method gives the row a term."""
        if method == "abstain":
            return self.abstention is not None and bool(self.options)

        stays_right = self.abstention is not None and self.abstention == self.right
        return not stays_right and (method == "contrast" or bool(self.options))


def log_p(row: Any) -> Tensor:
    """(answer tokens,) log-probabilities of a row's answer."""
    found = torch.log_softmax(row.answer_logits(row.embeds()), dim=-1)
    return found[torch.arange(len(found)), row.labels[[place + 1 for place in row.places]]]


def counterfactual_terms(gone: list[Gone], arguments: Any) -> tuple[list[Tensor], list[Tensor], list[bool]]:
    """The terms of the rows that have one, their evidence margins, and whether the likelihood without evidence was left alone."""
    terms, margins, guarded = [], [], []
    for one in gone:
        if not one.applies(arguments.counterfactual_method):
            continue

        tokens, kept = log_p(one.row), one.row.compared(one.clean, attacked=False)
        seen, unseen = log_p(one.clean)[kept].mean(), tokens[kept].mean()
        margins.append((seen - unseen).detach())
        if arguments.counterfactual_method == "uniform":
            p = torch.stack([log_p(option).sum() for option in one.options]).softmax(dim=0)
            uniform = 1 / len(p)
            terms.append((uniform * (uniform / p).log()).sum())
        elif arguments.counterfactual_method == "abstain":
            terms.append(-log_p(one.options[one.abstention])[one.common :].mean())
        else:
            if one.options:
                guarded.append(tokens[-one.last :].sum().exp().item() <= 1 / len(one.options))
            else:
                guarded.append(unseen.item() <= -math.log(one.vocabulary))

            unseen = unseen.detach() if guarded[-1] else unseen
            z = arguments.counterfactual_beta * (seen - unseen) - arguments.counterfactual_margin
            terms.append(-(1 / (1 + (-z).exp())).log())

    return terms, margins, guarded
