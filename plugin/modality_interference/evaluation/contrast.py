"""Visual contrastive decoding (Leng et al., arXiv 2311.16922): logits for an image against those for the same image, noised.

The noise is added to what the processor makes of images and frames, as the authors' code does, so no model family needs code of its
own. It depends on the seed and on the pixels only: a clean row and its twins see the same noised image, in any batch.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor

from ..batching.answer_logits import Answers
from ..batching.batch import Question, TwinBatch
from ..errors import ModalityInterferenceError
from ..modality import Modality
from ..results import ScoredRow
from .scoring import option_likelihoods, score_likelihood


_PIXELS = "pixel_values"  # how transformers' processors begin the names of images and of frames
_STEPS = 1000
_BETA_MIN, _BETA_MAX = 1e-5, 5e-3  # variances of the diffusion's steps, on a sigmoid from -6 to 6
_NEVER = -1e9  # in place of minus infinity, of which divergences would not be finite


def kept_share(step: int) -> float:
    """Which share of an image's variance a diffusion step from 0 to 999 keeps; the rest is noise. As the authors' code."""
    variances = torch.sigmoid(torch.linspace(-6, 6, _STEPS, dtype=torch.float64)) * (_BETA_MAX - _BETA_MIN) + _BETA_MIN
    return float(torch.cumprod(1 - variances, dim=0)[step])


@dataclass(frozen=True)
class VisualContrast:
    """Contrasts an image with its noised version.

    Attributes:
        alpha: how strongly.
        beta: a token or an option can be chosen where it is at least beta times as likely as the most likely one.
        noise_steps: the diffusion's step T, from 0 to 999.
        seed: of the noise.
    """

    alpha: float
    beta: float
    noise_steps: int
    seed: int

    def noised(self, batch: TwinBatch) -> dict[str, Any]:
        """The model's inputs with noise on images and frames; rows without any stay as they are.

        Raises:
            ModalityInterferenceError: the rows have images or videos, but the inputs have no pixels.
        """
        inputs = batch.inputs
        pixels = {
            name: self._noised(value, _patches(name, len(value), inputs))
            for name, value in inputs.items()
            if name.startswith(_PIXELS) and value is not None
        }
        seen = Modality.IMAGE.bit | Modality.VIDEO.bit
        if not pixels and (batch.token_modality & seen).any():
            raise ModalityInterferenceError(
                f"`diagnosis_decoding: vcd` found no `{_PIXELS}` among the inputs of this model ({', '.join(inputs)}). Use "
                "`diagnosis_decoding: standard`."
            )

        return inputs | pixels

    def _noised(self, pixels: Any, patches: list[int]) -> Any:
        """Noise on the pixels of a batch.

        Args:
            pixels: (media or tiles, ...) or, with `patches`, (patches of all media, ...); or a list of every row's.
            patches: of each medium.
        """
        if isinstance(pixels, (list, tuple)):
            return [
                self._noised_medium(item) if isinstance(item, Tensor) else self._noised(item, []) for item in pixels
            ]

        return torch.cat([self._noised_medium(part) for part in pixels.split(patches or 1)])

    def _noised_medium(self, pixels: Tensor) -> Tensor:
        """sqrt(a) x + sqrt(1 - a) e with standard normal e, `a` being `kept_share`."""
        values = pixels.float().cpu().contiguous()
        content = blake2b(f"{self.seed}/".encode(), digest_size=8)
        content.update(values.numpy().tobytes())
        generator = torch.Generator().manual_seed(int.from_bytes(content.digest(), "little") >> 1)
        kept = kept_share(self.noise_steps)
        noise = torch.randn(values.shape, generator=generator)
        return (math.sqrt(kept) * values + math.sqrt(1 - kept) * noise).to(pixels)

    def logits(self, own: Tensor, noised: Tensor) -> Tensor:
        """(1 + alpha) l - alpha l_noised, and minus infinity where a token is less than beta times as likely as the first.

        Args:
            own: (..., vocabulary).
            noised: likewise.
        """
        own, noised = (logits.to(torch.promote_types(logits.dtype, torch.float32)) for logits in (own, noised))
        cut = own < own.amax(dim=-1, keepdim=True) + math.log(self.beta)
        return self._contrasted(own, noised).masked_fill(cut, -torch.inf)

    def _contrasted(self, own: Tensor, noised: Tensor) -> Tensor:
        return (1 + self.alpha) * own - self.alpha * noised

    def free_answers(self, answers: Answers, noised: Tensor) -> Answers:
        """Answers whose tokens are chosen by the contrast.

        Args:
            answers: of rows with their own images.
            noised: (positions, vocabulary) logits of the same positions for noised images.
        """
        return replace(answers, logits=self.logits(answers.logits, noised).clamp(min=_NEVER))

    def score(
        self, questions: list[Question], answers: Answers, noised: Tensor, decode: Callable[[list[int]], str]
    ) -> list[ScoredRow]:
        """Score a batch as `score_likelihood` does, by contrasted likelihoods.

        Among options, the cut-off leaves those that are at least beta times as likely, by the model's own probabilities, as
        the most likely option. Free answers have the paper's, over the vocabulary; a claimed answer is compared with the right
        one without any.

        Args:
            questions: of the batch.
            answers: of all its rows, with their own images.
            noised: (positions, vocabulary) logits of the same positions for noised images.
            decode: from token ids to text.
        """
        contrasted = replace(answers, logits=self._contrasted(answers.logits.float(), noised.float()))
        pairs = zip(option_likelihoods(questions, answers), option_likelihoods(questions, contrasted))
        likelihoods = [self._plausible(own, other) for own, other in pairs]
        return score_likelihood(questions, self.free_answers(answers, noised), decode, likelihoods, contrasted)

    def _plausible(self, own: Tensor, contrasted: Tensor) -> Tensor:
        return contrasted if not len(own) else contrasted.masked_fill(own < own.max() + math.log(self.beta), _NEVER)


def _patches(name: str, count: int, inputs: dict[str, Any]) -> list[int]:
    """How many patches each medium has, where a tensor holds those of all, one after the other; else nothing."""
    video = "video" in name
    grids = (value for key, value in inputs.items() if "grid" in key and ("video" in key) is video)
    for grid in grids:
        if isinstance(grid, Tensor) and grid.ndim == 2 and int(grid.prod(dim=1).sum()) == count:
            return grid.prod(dim=1).tolist()

    return []


class ContrastedLogits(LogitsProcessor):
    """Chooses each token by the contrast; the second half of the rows are the first half's, with noised images.

    Both halves continue with the same token, so that each step contrasts equal texts.
    """

    def __init__(self, contrast: VisualContrast) -> None:
        self.contrast = contrast

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Contrast (2 rows, vocabulary) scores."""
        return self.contrast.logits(*scores.chunk(2)).to(scores).repeat(2, 1)


def beside(inputs: dict[str, Any], noised: dict[str, Any]) -> dict[str, Any]:
    """Inputs of twice as many rows: those given, then the noised ones.

    Args:
        inputs: the model's; every tensor and list is by row, or by medium in the order of the rows.
        noised: the same with noise.
    """
    return dict(_beside(inputs, noised))


def _beside(inputs: dict[str, Any], noised: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in inputs.items():
        other = noised[name]
        if isinstance(value, Tensor) and value.ndim:
            yield name, torch.cat([value, other])
        else:
            yield name, [*value, *other] if isinstance(value, (list, tuple)) else value
