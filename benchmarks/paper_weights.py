"""What a weight of the consistency loss does: its share of the gradient, and how the paper's code differs at the same weight.

    make demo                            # makes the base model and the data
    python benchmarks/paper_weights.py
    python benchmarks/paper_weights.py --batches 20

Both terms are computed from the same logits: of the digits demo's base model, on batches of its fine-tuning recipe, without an
attack. The code of arXiv 2505.19616 adds up over a row's variants, over answer positions and over the vocabulary, and divides by
the number of clean rows; its `js` is the mean of KL(m || p) and KL(m || q) with p detached. The plugin takes means. Gradients are
those of all trained parameters. A share is the length of the weighted term's gradient over that of the whole one (the cross-entropy's
and the term's together). The default of `consistency_weight` was chosen by it.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import get_train_args
from llamafactory.model import load_model, load_tokenizer
from torch import Tensor, nn

from modality_interference.batching.answer_logits import Answers
from modality_interference.batching.batch import TwinBatch
from modality_interference.batching.collator import TwinCollator
from modality_interference.batching.sampler import BatchMixSampler
from modality_interference.train.answer_losses import cross_entropy, cross_entropy_and_divergences
from modality_interference.train.hooks import ModelParts
from modality_interference.train.losses import consistency_sum


RECIPE = Path(__file__).resolve().parents[1] / "examples" / "digits" / "finetune_interference.yaml"
WEIGHTS = (0.01, 0.1, 0.3, 1.0, 3.0)
Term = Callable[[Answers, Tensor, Tensor], Tensor]


def own_term(method: str) -> Term:
    """The plugin's consistency loss of one batch."""

    def term(answers: Answers, variants: Tensor, sources: Tensor) -> Tensor:
        _, terms = cross_entropy_and_divergences(answers, variants, sources, method, temperature=1.0)
        total, groups = consistency_sum(terms, sources)
        return total / groups

    return term


def code_term(method: str) -> Term:
    """The same batch's loss as the paper's code computes it."""

    def term(answers: Answers, variants: Tensor, sources: Tensor) -> Tensor:
        own, clean = answers.partners(variants, sources)
        log_q, log_p = (torch.log_softmax(answers.logits[rows], dim=-1) for rows in (own, clean))
        log_p = log_p.detach()
        if method == "reverse_kl":
            values = log_q.exp() * (log_q - log_p)
        else:
            mixture = (log_p.exp() + log_q.exp()) / 2
            values = mixture * (mixture.log() - (log_p + log_q) / 2)  # ½ KL(m || p) + ½ KL(m || q)

        return values.sum() / len(torch.unique(sources))

    return term


def batches(keys: dict[str, Any], count: int) -> tuple[nn.Module, Iterator[TwinBatch]]:
    """The recipe's model, and some of its device batches."""
    model_args, data_args, training_args, finetuning_args, _ = get_train_args(keys)
    tokenizer_module = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(tokenizer_module["tokenizer"], data_args)
    dataset = get_dataset(template, model_args, data_args, training_args, stage="sft", **tokenizer_module)[
        "train_dataset"
    ]
    model = load_model(tokenizer_module["tokenizer"], model_args, finetuning_args, is_trainable=True).eval()
    collator = TwinCollator(
        template=template, model=model, pad_to_multiple_of=8, label_pad_token_id=-100, **tokenizer_module
    )
    mix, size = finetuning_args.mix, training_args.per_device_train_batch_size
    order = list(BatchMixSampler(dataset["relevant"], mix, seed=0))[: count * size]
    made = (
        collator([dataset[index] for index in order[start : start + size]]) for start in range(0, len(order), size)
    )
    return model, map(TwinBatch.split, made)


def gradient_of(loss: Tensor, model: nn.Module) -> Tensor:
    """All trained parameters' gradients, as one vector."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return torch.cat([part.flatten() for part in found if part is not None])


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=10, help="how many batches (default: 10)")
    count = parser.parse_args().batches
    keys = yaml.safe_load(RECIPE.read_text(encoding="utf-8")) | {"max_samples": 9 * count}
    model, found = batches(keys, count)
    parts = ModelParts.of(model)
    ratios: dict[str, list[tuple[float, float]]] = {"reverse_kl": [], "js": []}
    shares: dict[float, list[float]] = {weight: [] for weight in WEIGHTS}
    for batch in found:
        with parts.hooked(positions=batch.answer_positions, media_features=parts.media_features(batch.feature_index)):
            logits = model(**batch.inputs, use_cache=False).logits

        answers = Answers.of(logits, batch.labels)
        rows = torch.arange(len(batch.labels))
        variants = rows[(batch.twin_of != rows) & batch.answered]
        sources = batch.twin_of[variants]
        for method, measured in ratios.items():
            ours, theirs = (make(method)(answers, variants, sources) for make in (own_term, code_term))
            norms = [gradient_of(term, model).norm().item() for term in (ours, theirs)]
            measured.append((theirs.item() / ours.item(), norms[1] / norms[0]))

        sft = gradient_of(cross_entropy(answers).mean(), model)
        consistency = gradient_of(own_term("js")(answers, variants, sources), model)
        for weight, found_shares in shares.items():
            found_shares.append((weight * consistency.norm() / (sft + weight * consistency).norm()).item())

    for method, measured in ratios.items():
        losses, gradients = zip(*measured)
        print(
            f"{method}: the code's loss is {min(losses):.1f} to {max(losses):.1f} times the plugin's "
            f"(median {statistics.median(losses):.1f}), its gradient's length {min(gradients):.1f} to {max(gradients):.1f} times "
            f"(median {statistics.median(gradients):.1f}), over {len(measured)} batches"
        )

    for weight, found_shares in shares.items():
        percent = [100 * share for share in found_shares]
        print(
            f"js with consistency_weight {weight:g}: {min(percent):.2f} to {max(percent):.2f} % of the length of the whole "
            f"gradient (median {statistics.median(percent):.2f} %)"
        )


if __name__ == "__main__":
    main()
