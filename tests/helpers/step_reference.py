"""The training step of docs/method.md, written as plainly as possible: one row at a time, full logits, no hooks, no sharing.

Qwen2.5-VL and Qwen2.5-Omni only. Shares nothing with the plugin but the stream of random noise.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from llamafactory.data import SFTDataCollatorWith4DAttentionMask
from PIL import Image
from torch import Tensor
from torch.nn.functional import cross_entropy

from helpers.clip_files import read_audio
from modality_interference.media.image import load_image
from modality_interference.modality import Modality, from_bits
from modality_interference.train.attack import row_noise


IMAGE_BITS, TEXT_BITS = Modality.IMAGE.bit, Modality.TEXT.bit


class Row:
    """One clean row, twin or adversarial copy: embeddings, where its answer is, and how to run it."""

    def __init__(self, model: Any, collator: Any, example: dict[str, Any], variant: dict[str, Any], key: int) -> None:
        images = [
            load_image(reference, example["images"] or [], example["twin_images"] or [])
            for reference in variant["image_references"]
        ]
        videos, black = clips_of(example, variant, "video")
        audios, silent = clips_of(example, variant, "audio")
        tracks = [read_audio(Path(path))[0] for path in audios]
        tracks = [np.zeros_like(track) if quiet else track for track, quiet in zip(tracks, silent)]
        stock = SFTDataCollatorWith4DAttentionMask(
            template=collator.template,
            model=collator.model,
            tokenizer=collator.tokenizer,
            processor=collator.processor,
        )
        ids = variant["input_ids"]
        feature = {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": variant["labels"], "images": images}
        self.inputs = stock([feature | {"videos": videos, "audios": tracks}])
        if any(black):
            self.inputs["pixel_values_videos"] = black_pixels(collator, videos)

        self.labels = self.inputs.pop("labels")[0]
        self.model, self.key = model, key
        self.relevant = {modality.value for modality in from_bits(example["relevant"])}
        names = collator.tokenizer.get_vocab()
        self.first_turn = first_turn(collator.tokenizer, ids)
        self.special = {token_id for name, token_id in names.items() if name.startswith("<|") and name.endswith("|>")}
        self.places = [t for t in range(len(self.labels) - 1) if self.labels[t + 1] != -100]

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
        return self.model(inputs_embeds=embeds, **kept).logits[0, self.places].float()

    def answer_loss(self, logits: Tensor, reduction: str) -> Tensor:
        """Cross-entropy of the answer."""
        return cross_entropy(logits, self.labels[[place + 1 for place in self.places]], reduction=reduction)


def first_turn(tokenizer: Any, ids: list[int]) -> int:
    """Where the user's words begin: behind the system prompt and `<|im_start|>user`."""
    marks = [place for place, token in enumerate(ids) if token == tokenizer.convert_tokens_to_ids("<|im_start|>")]
    return next(end for end in range(marks[1], len(ids)) if tokenizer.decode(ids[marks[1] : end]).endswith("user\n"))


def clips_of(example: dict[str, Any], variant: dict[str, Any], kind: str) -> tuple[list[str], list[bool]]:
    """The paths of a row's videos or audio, and whether each is removed."""
    paths, removed = [], []
    for reference in variant[f"{kind}_references"]:
        *what, place, index = reference.split(":")
        paths.append(example[f"{kind}s" if place == "row" else f"twin_{kind}s"][int(index)])
        removed.append(what == ["removed"])

    return paths, removed


def black_pixels(collator: Any, videos: list[str]) -> Tensor:
    """The pixel values of one video all of whose frames are black."""
    (path,) = videos
    settings = {f"image_{name}_pixels": getattr(collator.processor, f"video_{name}_pixels") for name in ("max", "min")}
    settings |= {name: getattr(collator.processor, name) for name in ("video_fps", "video_maxlen")}
    frames = collator.template.mm_plugin._regularize_videos([path], **settings)["videos"][0]
    frames = [Image.new("RGB", frame.size) for frame in frames]
    return collator.processor.video_processor(videos=[frames], return_tensors="pt")["pixel_values_videos"]


def perturbations_of(row: Row, arguments: Any, seed: tuple[int, int]) -> list[Tensor]:
    """Every delta (1, tokens, hidden) whose loss counts: one, or freelb's K."""
    mask = row.mask()
    embeds = row.embeds().detach()
    method, epsilon = arguments.adversarial_method, arguments.adversarial_epsilon
    noise = row_noise(mask[None], embeds.shape[-1], torch.tensor([row.key]), seed, method == "gaussian")
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
    """Mean over answer positions of D(p_clean, p_variant), in terms of probabilities."""
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
        clean_logits, variants = None, []
        copies = []
        for row in group:
            logits = row.answer_logits(row.embeds())
            sft.append(row.answer_loss(logits, "sum"))
            sft_tokens += len(row.places)
            if clean_logits is None:
                clean_logits = logits
            else:
                variants.append(logits)

            if arguments.adversarial_method != "none" and row.mask().any():
                deltas = perturbations_of(row, arguments, seed)
                losses = []
                for delta in deltas:
                    attacked = row.answer_logits(row.embeds() + delta * row.mask()[None, :, None])
                    losses.append(row.answer_loss(attacked, "sum"))

                copies.append(attacked)
                adversarial.append(sum(losses) / len(losses))
                adversarial_tokens += len(row.places)

        if variants + copies:
            method, temperature = arguments.consistency_method, arguments.consistency_temperature
            if method != "none":
                distances = [distance(method, clean_logits, logits, temperature) for logits in variants + copies]
                consistency.append(sum(distances) / len(distances))

    loss = sum(sft) / sft_tokens
    if adversarial:
        loss = loss + arguments.adversarial_weight * sum(adversarial) / adversarial_tokens
    if consistency:
        loss = loss + arguments.consistency_weight * sum(consistency) / len(consistency)

    return loss
