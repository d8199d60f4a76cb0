"""The training step of docs/method.md, written as plainly as possible, and a callback that compares a real step with it.

One row at a time, full logits, no hooks, no sharing; for Qwen2.5-VL and Qwen2.5-Omni only. It shares nothing with the plugin but
the stream of random noise.
"""

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from llamafactory.data import SFTDataCollatorWith4DAttentionMask
from llamafactory.train.tuner import run_exp
from PIL import Image
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import TrainerCallback

from helpers.clip_files import read_audio
from helpers.reference_counterfactuals import Gone, counterfactual_terms
from modality_interference.arguments import PluginArguments
from modality_interference.batching.collator import row_key
from modality_interference.media.image import load_image
from modality_interference.modality import from_bits
from modality_interference.train.attack import row_noise


class Row:
    """One clean row, twin or adversarial copy: embeddings, where its answer is, and how to run it."""

    def __init__(self, model: Any, collator: Any, example: dict[str, Any], variant: dict[str, Any], key: int) -> None:
        images = [
            load_image(reference, example["images"] or [], example["twin_images"] or [])
            for reference in variant["image_references"]
        ]
        videos = clips_of(example, variant, "video")
        tracks = [samples(clip) for clip in clips_of(example, variant, "audio")]
        stock = SFTDataCollatorWith4DAttentionMask(
            template=collator.template,
            model=collator.model,
            tokenizer=collator.tokenizer,
            processor=collator.processor,
        )
        ids = variant["input_ids"]
        feature = {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": variant["labels"], "images": images}
        self.inputs = stock([feature | {"videos": [clip.like or clip.path for clip in videos], "audios": tracks}])
        if any(clip.removed or clip.like for clip in videos):
            self.inputs["pixel_values_videos"] = pixels(collator, videos)

        self.labels = self.inputs.pop("labels")[0]
        self.inputs = {
            key: value.to(model.dtype) if isinstance(value, Tensor) and value.is_floating_point() else value
            for key, value in self.inputs.items()
        }
        self.model, self.key = model, key
        self.relevant = {modality.value for modality in from_bits(example["relevant"])}
        names = collator.tokenizer.get_vocab()
        self.first_turn = first_turn(collator.tokenizer, ids)
        self.special = {token_id for name, token_id in names.items() if name.startswith("<|") and name.endswith("|>")}
        self.places = [t for t in range(len(self.labels) - 1) if self.labels[t + 1] != -100]
        media = {getattr(model.config, f"{name}_token_id", None): name for name in ("image", "video", "audio")}
        self.tokens = [(token, variant[f"{media[token]}_references"] if token in media else None) for token in ids]
        self.thought = collator.tokenizer.encode("<think>\n\n</think>\n\n", add_special_tokens=False)

    def embeds(self) -> Tensor:
        """(1, tokens, hidden) with images merged in, by the model's own code."""
        seen = {}

        def keep(module: Any, args: Any, kwargs: Any) -> None:
            seen["embeds"] = kwargs["inputs_embeds"]

        decoder = self.model.get_decoder()
        decoder = self.model.model if decoder is self.model else decoder  # Qwen2.5-Omni
        handle = decoder.register_forward_pre_hook(keep, with_kwargs=True)
        self.model(**self.inputs)
        handle.remove()
        return seen["embeds"]

    def mask(self) -> Tensor:
        """(tokens,) what an attack may change."""
        config = self.model.config
        media = {getattr(config, f"{name}_token_id", None): name for name in ("image", "video", "audio")}
        mask = []
        for place, (token, label, attended) in enumerate(
            zip(self.inputs["input_ids"][0].tolist(), self.labels.tolist(), self.inputs["attention_mask"][0].tolist())
        ):
            modality = media.get(token) or (None if token in self.special else "text")
            irrelevant = modality is not None and self.relevant and modality not in self.relevant
            mask.append(bool(irrelevant and attended and label == -100 and place >= self.first_turn))

        return torch.tensor(mask)

    def answer_logits(self, embeds: Tensor) -> Tensor:
        """(answer tokens, vocabulary)."""
        kept = {key: self.inputs[key] for key in ("attention_mask", "position_ids")}
        logits = self.model(inputs_embeds=embeds, **kept).logits[0, self.places]
        return logits if logits.dtype == torch.float64 else logits.float()

    def compared(self, clean: "Row", attacked: bool) -> list[int]:
        """Which of the answer's tokens count in L_cons: those behind what differs from the clean row, without thoughts."""
        places = [t for t, token in enumerate(self.tokens) if clean.tokens[t : t + 1] != [token]]
        places += self.mask().nonzero()[:, 0].tolist() if attacked else []
        labels, thoughts = self.labels.tolist(), set()
        for t in range(1, len(labels)):
            if labels[t - 1] == -100 and labels[t : t + len(self.thought)] == self.thought:
                thoughts |= set(range(t, t + len(self.thought)))

        return [index for index, t in enumerate(self.places) if t >= min(places) and t + 1 not in thoughts]

    def answer_loss(self, logits: Tensor, reduction: str) -> Tensor:
        """Cross-entropy of the answer."""
        return cross_entropy(logits, self.labels[[place + 1 for place in self.places]], reduction=reduction)


def first_turn(tokenizer: Any, ids: list[int]) -> int:
    """Where the user's words begin: behind the system prompt and `<|im_start|>user`."""
    marks = [place for place, token in enumerate(ids) if token == tokenizer.convert_tokens_to_ids("<|im_start|>")]
    return next(end for end in range(marks[1], len(ids)) if tokenizer.decode(ids[marks[1] : end]).endswith("user\n"))


def clips_of(example: dict[str, Any], variant: dict[str, Any], kind: str) -> list[SimpleNamespace]:
    """Of a row's videos or audio the path, the path of the clip whose length it takes (or None), and whether it is removed."""
    found = []
    for reference in variant[f"{kind}_references"]:
        names = reference.removeprefix("removed:").split(":")
        paths = [
            example[f"{kind}s" if place == "row" else f"twin_{kind}s"][int(index)]
            for place, index in zip(names[::2], names[1::2])
        ]
        like = paths[1] if len(paths) == 2 else None
        found.append(SimpleNamespace(path=paths[0], like=like, removed=reference.startswith("removed:")))

    return found


def samples(clip: SimpleNamespace) -> np.ndarray:
    """The samples of an audio as the row has it."""
    track = read_audio(Path(clip.path))[0]
    if clip.like:
        length = len(read_audio(Path(clip.like))[0])
        track = np.concatenate([track, np.zeros(length, track.dtype)])[:length]

    return np.zeros_like(track) if clip.removed else track


def pixels(collator: Any, videos: list[SimpleNamespace]) -> Tensor:
    """The pixel values of one video as the row has it."""
    (clip,) = videos
    settings = {f"image_{name}_pixels": getattr(collator.processor, f"video_{name}_pixels") for name in ("max", "min")}
    settings |= {name: getattr(collator.processor, name) for name in ("video_fps", "video_maxlen")}

    def frames_of(path: str) -> list[Image.Image]:
        return collator.template.mm_plugin._regularize_videos([path], **settings)["videos"][0]

    frames = frames_of(clip.path)
    if clip.like:
        frames = [frames[min(index, len(frames) - 1)] for index in range(len(frames_of(clip.like)))]

    if clip.removed:
        frames = [Image.new("RGB", frame.size) for frame in frames]

    return collator.processor.video_processor(videos=[frames], return_tensors="pt")["pixel_values_videos"]


def perturbations_of(row: Row, arguments: Any, seed: tuple[int, int]) -> list[Tensor]:
    """Every delta (1, tokens, hidden) whose loss counts: one, or freelb's K."""
    mask = row.mask()
    embeds = row.embeds().detach()
    method, epsilon = arguments.adversarial_method, arguments.epsilon
    noise = torch.zeros_like(embeds)
    drawn = row_noise(mask[None], embeds.shape[-1], torch.tensor([row.key]), seed, method == "gaussian")
    noise[mask[None]] = drawn.to(noise.dtype)
    if method == "gaussian":
        return [epsilon * noise]

    def gradient(delta: Tensor) -> Tensor:
        delta = delta.clone().requires_grad_()
        loss = row.answer_loss(row.answer_logits(embeds + delta * mask[None, :, None]), "mean")
        return torch.autograd.grad(loss, delta)[0]

    if method == "fgsm":
        return [epsilon * gradient(torch.zeros_like(noise)).sign()]

    deltas = [epsilon * noise]
    for _ in range(arguments.adversarial_steps):
        g = gradient(deltas[-1])
        g = {"gradient": g, "sign": g.sign(), "normalized": g / g.norm()}[arguments.adversarial_update]
        deltas.append((deltas[-1] + arguments.adversarial_step_size * g).clamp(-epsilon, epsilon))

    return deltas[:-1] if method == "freelb" else deltas[-1:]


def distance(method: str, clean: Tensor, variant: Tensor, temperature: float) -> Tensor:
    """Mean over positions of D(p_clean, p_variant), in terms of probabilities."""
    p, q = (logits.div(temperature).softmax(dim=-1) for logits in (clean, variant))
    if method == "kl":
        value = (p.detach() * (p.detach() / q).log()).sum(dim=-1)
    elif method == "reverse_kl":
        value = (q * (q / p.detach()).log()).sum(dim=-1)
    elif method == "js":
        m = (p + q) / 2
        value = ((p * (p / m).log()).sum(dim=-1) + (q * (q / m).log()).sum(dim=-1)) / 2
    else:
        value = ((p - q) ** 2).mean(dim=-1)

    return value.mean() * temperature**2


def reference_loss(groups: list[list[Row]], arguments: Any, seed: tuple[int, int]) -> Tensor:
    """The loss of an optimizer step over groups of a clean row and its twins."""
    sft, adversarial, consistency = [], [], []
    sft_tokens = adversarial_tokens = 0
    for group in groups:
        clean_logits, variants, copies = None, [], []
        for row in group:
            logits = row.answer_logits(row.embeds())
            sft.append(row.answer_loss(logits, "sum"))
            sft_tokens += len(row.places)
            if clean_logits is None:
                clean_logits = logits
            else:
                variants.append((logits, row.compared(group[0], attacked=False)))

            if arguments.adversarial_method != "none" and row.mask().any():
                deltas = perturbations_of(row, arguments, seed)
                losses = []
                for delta in deltas:
                    attacked = row.answer_logits(row.embeds() + delta * row.mask()[None, :, None])
                    losses.append(row.answer_loss(attacked, "sum"))

                copies.append((attacked, row.compared(group[0], attacked=True)))
                adversarial.append(sum(losses) / len(losses))
                adversarial_tokens += len(row.places)

        if variants + copies:
            method, temperature = arguments.consistency_method, arguments.consistency_temperature
            if method != "none":
                distances = [
                    distance(method, clean_logits[kept], logits[kept], temperature)
                    for logits, kept in variants + copies
                ]
                consistency.append(sum(distances) / len(distances))

    loss = sum(sft) / sft_tokens
    if adversarial:
        loss = loss + arguments.adversarial_weight * sum(adversarial) / adversarial_tokens
    if consistency:
        loss = loss + arguments.consistency_weight * sum(consistency) / len(consistency)

    return loss


class Compare(TrainerCallback):
    """Before the optimizer moves anything, computes the reference on the same model and keeps both gradients."""

    def __init__(self, arguments: PluginArguments, examples: int) -> None:
        self.arguments = arguments
        self.examples = examples
        self.terms: list[Tensor] = []
        self.margins: list[Tensor] = []

    def on_pre_optimizer_step(self, args, state, control, model=None, train_dataloader=None, **kwargs):
        self.gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        collator = train_dataloader.collate_fn
        trained, counterfactuals = model, self.arguments.counterfactual_weight > 0
        model = copy.deepcopy(model).double() if counterfactuals else model
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        groups, gone = [], []
        for index in range(self.examples):
            example = train_dataloader.dataset[index]
            rows = [example, *example["variants"]]
            groups.append(
                [
                    Row(base, collator, example, row, row_key(example["key"], row.get("perturbation", "clean")))
                    for row in rows
                ]
            )
            for variant in example["counterfactuals"] if counterfactuals else ():
                gone.append(Gone(Row, base, collator, example, variant, groups[-1][0]))

        model.eval()
        parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
        loss = reference_loss(groups, self.arguments, (args.seed, state.global_step))
        self.terms, self.margins, self.guarded = counterfactual_terms(gone, self.arguments)
        if self.terms:
            loss = loss + self.arguments.counterfactual_weight * sum(self.terms) / len(self.terms)

        gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        trained.train()
        self.loss = loss.item()
        self.reference = {name: grad.float() for name, grad in zip(parameters, gradients) if grad is not None}

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            self.logged = logs["loss"]
            self.figures = dict(logs)


def compare_step(keys: dict[str, Any]) -> Compare:
    """Run one step of a recipe, and compare its loss and gradients with the reference's."""
    known = PluginArguments.__dataclass_fields__
    arguments = PluginArguments(**{key: value for key, value in keys.items() if key in known})
    examples = keys.get("gradient_accumulation_steps", 1) * keys["per_device_train_batch_size"]
    compare = Compare(arguments, examples)
    run_exp(keys, callbacks=[compare])

    assert compare.gradients.keys() == compare.reference.keys()
    assert abs(compare.logged - compare.loss) < 1e-4
    scale = max(gradient.abs().max() for gradient in compare.reference.values())
    for name, gradient in compare.reference.items():
        torch.testing.assert_close(compare.gradients[name], gradient, atol=1e-5 * float(scale), rtol=1e-3, msg=name)

    if arguments.counterfactual_weight:
        for name, values in (("loss_counterfactual", compare.terms), ("evidence_margin", compare.margins)):
            expected = float(sum(values)) / len(values) if values else None
            assert compare.figures.get(name) == (None if expected is None else pytest.approx(expected, abs=1e-4)), name

    return compare
