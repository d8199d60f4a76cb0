"""Visual contrastive decoding through the real `run_exp`, against full forwards of single rows in float64."""

from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.loading import load_data
from helpers.runs import recipe, write_turns
from helpers.tiny_models import FAMILIES
from llamafactory.data import SFTDataCollatorWith4DAttentionMask
from llamafactory.train.tuner import run_exp
from scipy.spatial.distance import jensenshannon
from scipy.special import expit, log_softmax, softmax
from transformers import AutoModelForImageTextToText

from modality_interference.batching.answer_logits import Answers
from modality_interference.batching.batch import OptionTokens, Question
from modality_interference.errors import ModalityInterferenceError
from modality_interference.evaluation.contrast import VisualContrast, kept_share
from modality_interference.evaluation.scoring import score_likelihood
from modality_interference.media.image import load_image
from modality_interference.results import read_diagnosis, read_rows


SEED, ALPHA, BETA, STEPS = 7, 2.5, 0.6, 700
VCD = dict(diagnosis_decoding="vcd", vcd_alpha=ALPHA, vcd_beta=BETA, vcd_noise_steps=STEPS)


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory) -> Path:
    """Questions about images, with options and without."""
    return write_turns(tmp_path_factory.mktemp("turns"))


def keys(checkpoint: Path, family: str, folder: Path, output: Path, **overrides) -> dict:
    common = dict(do_train=False, do_eval=True, dataset=None, eval_dataset="turns", max_steps=None)
    common |= dict(per_device_eval_batch_size=2, overwrite_output_dir=True)
    return recipe(checkpoint, FAMILIES[family].template, folder, output, **{**common, **overrides})


def noised(pixels: torch.Tensor) -> torch.Tensor:
    """Diffusion with variances on a sigmoid from 1e-5 to 5e-3, noise by (seed, pixels); one image."""
    variances = expit(np.linspace(-6, 6, 1000)) * (5e-3 - 1e-5) + 1e-5
    kept = np.prod(1 - variances[: STEPS + 1])
    digest = blake2b(f"{SEED}/".encode() + pixels.float().numpy().tobytes(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
    noise = torch.randn(pixels.shape, generator=generator).double()
    return kept**0.5 * pixels.double() + (1 - kept) ** 0.5 * noise


class Reference:
    """The same decisions, one row and one forward of all tokens at a time."""

    def __init__(self, data, model: torch.nn.Module) -> None:
        self.data, self.model = data, model.eval().double()
        self.cut, self.moved = 0, 0.0
        self.collator = data.collator(SFTDataCollatorWith4DAttentionMask, model=self.model, pad_to_multiple_of=None)

    def logits(self, example: dict, row: dict, ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """(tokens, vocabulary) logits for the image, and for the noised image."""
        own, extra = example["images"], example["twin_images"] or []
        images = [load_image(name, own, extra) for name in row["image_references"]]
        feature = {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": [-100] * len(ids), "images": images}
        batch = self.collator([feature])
        del batch["labels"]
        pixels = batch.pop("pixel_values")
        with torch.no_grad():
            found = [
                self.model(**batch, pixel_values=one).logits[0].numpy() for one in (pixels.double(), noised(pixels))
            ]

        return found[0], found[1]

    def decide(self, own: np.ndarray, other: np.ndarray) -> np.ndarray:
        """(vocabulary,) the logits of one position that a token is chosen by."""
        self.cut += int((softmax(own) < BETA * softmax(own).max()).sum())
        self.moved = max(self.moved, np.abs(own - other).max())
        return np.where(softmax(own) >= BETA * softmax(own).max(), (1 + ALPHA) * own - ALPHA * other, -1e9)

    def options(self, example: dict, row: dict) -> np.ndarray:
        """The log-likelihood of every option; those that are implausible without contrast count for nothing."""
        prompt = prompt_of(row)
        plain, contrasted = [], []
        for option in example["option_ids"]:
            own, other = self.logits(example, row, prompt + option)
            places = range(len(prompt) - 1, len(prompt) - 1 + len(option))
            mixed = (1 + ALPHA) * own - ALPHA * other
            plain.append(sum(log_softmax(own[place])[token] for place, token in zip(places, option)))
            contrasted.append(sum(log_softmax(mixed[place])[token] for place, token in zip(places, option)))

        return np.where(np.exp(plain - np.max(plain)) >= BETA, contrasted, -1e9)

    def positions(self, example: dict, row: dict) -> np.ndarray:
        """(answer tokens, vocabulary) logits that the last answer's tokens are chosen by."""
        own, other = self.logits(example, row, row["input_ids"])
        start = len(prompt_of(row))
        return np.array([self.decide(own[place - 1], other[place - 1]) for place in range(start, len(row["labels"]))])

    def written(self, example: dict, row: dict, tokens: int) -> str:
        """What is generated greedily."""
        ids = prompt_of(row)
        start = len(ids)
        while len(ids) < start + tokens and (len(ids) == start or ids[-1] != self.data.tokenizer.eos_token_id):
            own, other = self.logits(example, row, ids)
            ids = [*ids, int(self.decide(own[-1], other[-1]).argmax())]

        return self.data.tokenizer.decode(ids[start:], skip_special_tokens=True)


def prompt_of(row: dict) -> list[int]:
    """The tokens before the last answer."""
    end = len(row["labels"])
    while row["labels"][end - 1] != -100:
        end -= 1

    return list(row["input_ids"][:end])


def examples(data) -> list[tuple[dict, dict, str]]:
    return [
        (example, row, row.get("perturbation") or "clean")
        for example in data.evaluation
        for row in (example, *example["variants"])
    ]


@pytest.mark.parametrize("family", ["qwen2_5_vl"])  # patches of all images in one tensor
def test_likelihoods(checkpoint, data_folder, tmp_path, family):
    run_exp(keys(checkpoint(family), family, data_folder, tmp_path / "run", **VCD))
    data = load_data(keys(checkpoint(family), family, data_folder, tmp_path / "again"))
    reference = Reference(data, AutoModelForImageTextToText.from_pretrained(checkpoint(family)))
    found = {row.identity: row for row in read_rows(tmp_path / "run")}
    clean: dict[int, np.ndarray] = {}
    for example, row, name in examples(data):
        scored = found["turns", example["row"], name]
        if example["option_ids"]:
            likelihoods = reference.options(example, row)
            assert scored.answer == example["choices"][likelihoods.argmax()]
            probabilities = softmax(likelihoods)
        else:
            logits = reference.positions(example, row)
            expected = data.tokenizer.decode(logits.argmax(axis=1), skip_special_tokens=True).strip()
            assert (scored.answer, scored.correct) == (
                expected,
                list(logits.argmax(axis=1)) == row["labels"][-len(logits) :],
            )
            probabilities = softmax(logits, axis=1)

        if name == "clean":
            clean[example["row"]] = probabilities
        else:
            distances = jensenshannon(
                np.atleast_2d(clean[example["row"]]), np.atleast_2d(probabilities), base=2, axis=1
            )
            assert scored.causal_effect == pytest.approx(np.mean(distances**2), abs=1e-4)

    assert reference.cut > 10 and reference.moved > 0.01  # the cut-off and the noise have acted
    diagnosis = read_diagnosis(tmp_path / "run")
    assert (diagnosis.decoding, diagnosis.run["vcd_alpha"], diagnosis.run["vcd_noise_steps"]) == ("vcd", ALPHA, STEPS)
    assert "decoded by <code>vcd</code>" in (tmp_path / "run" / "interference.html").read_text()


@pytest.mark.parametrize("family", ["internvl"])  # an item for each image
def test_generated_answers(checkpoint, data_folder, tmp_path, family):
    scoring = dict(diagnosis_scoring="generate", predict_with_generate=True, max_new_tokens=4)
    run_exp(keys(checkpoint(family), family, data_folder, tmp_path / "run", **VCD, **scoring))
    found = {row.identity: row.response for row in read_rows(tmp_path / "run")}
    data = load_data(keys(checkpoint(family), family, data_folder, tmp_path / "again"))
    reference = Reference(data, AutoModelForImageTextToText.from_pretrained(checkpoint(family)))
    assert found == {
        ("turns", example["row"], name): reference.written(example, row, 4) for example, row, name in examples(data)
    }


def test_the_share_of_an_image_that_noise_leaves():
    """The authors' default, 500 steps, keeps three quarters of the variance; 999 next to nothing."""
    assert kept_share(0) == pytest.approx(1 - (expit(-6) * 4.99e-3 + 1e-5))
    assert kept_share(500) == pytest.approx(0.744, abs=0.002)
    assert kept_share(999) < 0.09


def test_noise_depends_on_the_image_and_the_seed_only():
    contrast = VisualContrast(1.0, 0.1, 500, seed=1)
    first, second = torch.randn(4, 12), torch.randn(6, 12)
    alone = contrast._noised(first, [4])
    together = contrast._noised(torch.cat([second, first]), [6, 4])
    assert torch.equal(together[6:], alone)
    assert not torch.equal(VisualContrast(1.0, 0.1, 500, seed=2)._noised(first, [4]), alone)
    listed = contrast._noised([[first], []], [])
    assert torch.equal(listed[0][0], alone) and listed[1] == []


def test_logits_by_hand():
    contrast = VisualContrast(alpha=1.0, beta=0.5, noise_steps=500, seed=1)
    own, noised_logits = torch.tensor([[2.0, 1.5, 0.0]]), torch.tensor([[3.0, 0.5, -4.0]])
    assert contrast.logits(own, noised_logits).tolist() == [[1.0, 2.5, float("-inf")]]  # exp(-0.5) > 0.5 > exp(-2)


def test_the_attention_probe_is_refused(checkpoint, data_folder, tmp_path):
    with pytest.raises(ModalityInterferenceError, match="`attention_probe` measures the attention of one forward"):
        run_exp(keys(checkpoint("llava"), "llava", data_folder, tmp_path / "run", attention_probe=True, **VCD))


def test_a_claimed_answer_is_compared_by_contrasted_likelihoods():
    """Token 1 is right, token 2 is claimed: more likely by itself, less so than with the noised image."""
    contrast = VisualContrast(alpha=1.0, beta=0.9, noise_steps=500, seed=1)
    own = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 1.2], [0.0, 1.0, 1.2], [0.0, 1.0, 1.2]])
    noised_logits = own + torch.tensor([[0.0], [1.0], [0.0], [0.0]]) * torch.tensor([0.0, 0.0, 1.0])
    noised_logits[2:, 2] += 1
    fields = dict(dataset="captions", row=0, key=1, kind="image", clean=0, response="a")
    places = tuple(OptionTokens(row, 0, (token,)) for row, token in ((1, 1), (2, 2), (0, 1), (3, 2)))
    twin = Question(perturbation="misleading_text", batch_row=1, claimed="b", claims=places, **fields)
    asked = [Question(perturbation="clean", batch_row=0, **fields), twin]
    answers = Answers(own, torch.tensor([1, 1, 2, 2]), torch.arange(4), 4)
    plain = score_likelihood(asked, answers, str)[1]
    contrasted = contrast.score(asked, answers, noised_logits, str)[1]
    assert (plain.misled, contrasted.misled) == (True, False)
