"""Answers that pages show with what the model saw: flips, and what could not be parsed."""

from ..modality import Modality
from .rows import Result


class MediaThumbnail(Result):
    """An image, a video or an audio, as pages show it.

    Attributes:
        modality: which of them.
        caption: the file's name or what there is in its place, and its length; why it cannot be shown.
        uri: a small image, a film strip or a spectrogram, as a `data:image/...;base64,` URI; "" where there is none.
        size: (width, height) in pixels of an image.
    """

    modality: Modality
    caption: str
    uri: str = ""
    size: tuple[int, int] | None = None


class Flip(Result):
    """One of the worst flips, for the gallery; or an answer that stayed without its evidence.

    Attributes:
        dataset: its dataset.
        row: its index there.
        perturbation: what flipped the answer.
        prompt: what the model read of the clean row, media as `<image>` and the like.
        perturbed_prompt: of the twin.
        images: the clean row's images, as `data:image/...;base64,` URIs.
        perturbed_images: the twin's.
        clips: the clean row's videos and audio.
        perturbed_clips: the twin's, of the modalities that are not the clean row's.
        right_answer: what would have been right.
        clean_answer: what the model said to the clean row.
        perturbed_answer: what it said to the twin.
        clean_response: what it wrote to the clean row, where answers are generated.
        perturbed_response: what it wrote to the twin.
        clean_correct: whether what it said to the clean row is right, which of a free answer its text does not tell; None in reports
            of earlier releases.
        perturbed_correct: likewise of the twin.
        target: the wrong option that the perturbation names.
        causal_effect: in bits.
    """

    dataset: str
    row: int
    perturbation: str
    prompt: str
    perturbed_prompt: str
    images: list[str] = []
    perturbed_images: list[str] = []
    clips: list[MediaThumbnail] = []
    perturbed_clips: list[MediaThumbnail] = []
    right_answer: str
    clean_answer: str | None
    perturbed_answer: str | None
    clean_response: str | None = None
    perturbed_response: str | None = None
    clean_correct: bool | None = None
    perturbed_correct: bool | None = None
    target: str | None = None
    causal_effect: float | None = None


class UnparsableAnswer(Result):
    """A generated answer that names no option, or several.

    Attributes:
        dataset: its dataset.
        row: its index there.
        perturbation: its label, `clean` for a clean row.
        right: what would have been right.
        response: what the model wrote, as it wrote it.
    """

    dataset: str
    row: int
    perturbation: str
    right: str | None
    response: str
