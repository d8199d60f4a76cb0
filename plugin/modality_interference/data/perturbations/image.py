"""Perturbations of images: a canvas or another image in place of each, or beside a text-only question."""

import random
from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from ...media.reference import (
    MAX_CANVAS_SIDE,
    CanvasKind,
    CanvasReference,
    FileReference,
    HiddenReference,
    Hiding,
    StoredReference,
    WrittenReference,
    parse,
)
from ...modality import Modality
from ..dataset import TRIES, RawDataset, RowContext
from ..registry import Parameters, register_perturbation
from ..sample import Sample
from .targets import TargetAnswer, draw_target


_Side = Annotated[int, Field(ge=1, le=MAX_CANVAS_SIDE)]
_NOISE_SEED_BITS = 63


class Canvas(Parameters):
    """Parameters of the canvases.

    Attributes:
        size: (width, height) in pixels of a canvas that is added to a text-only sample; one that replaces an image has
            the image's size. 336 is the side of CLIP's and LLaVA's input.
    """

    size: tuple[_Side, _Side] = Field(
        (336, 336), description=f"a list [width, height] of pixels, each from 1 to {MAX_CANVAS_SIDE}"
    )


class TypographicImage(Canvas, TargetAnswer):
    """Parameters of `typographic_image`: those of canvases, and where wrong answers come from."""


class BlurredImage(Parameters):
    """Parameters of `blurred_image`.

    Attributes:
        radius: of the Gaussian blur, in percent of the image's shorter side.
    """

    radius: int = Field(10, ge=1, le=100, description="a whole number from 1 to 100")


class MaskedPatches(Parameters):
    """Parameters of `masked_patches`.

    Attributes:
        share: of all patches of 14 x 14 pixels, in percent; the default is PAPO's (arXiv 2507.06448).
    """

    share: int = Field(60, ge=1, le=100, description="a whole number from 1 to 100")


class IrrelevantImage(Parameters):
    """Parameters of `irrelevant_image`.

    Attributes:
        pool: a folder of images, relative to `dataset_dir`; None for the dataset's other rows.
    """

    pool: str | None = Field(None, description="a folder of images, relative to `dataset_dir`")

    def check(self, dataset: RawDataset) -> None:
        """Look for the pool's images; without a pool, other rows with images (not with `streaming`)."""
        if self.pool is not None:
            dataset.pool(self.pool)
        elif dataset.other_rows is None:
            raise dataset.error(
                "`irrelevant_image` without a pool draws from other rows, and streaming has no random access. Give a "
                'pool folder: {"name": "irrelevant_image", "pool": "images/pool"}, or set `streaming: false`.'
            )
        elif "images" not in dataset.columns:
            raise dataset.error(
                "`irrelevant_image` without a pool draws from other rows, and `columns` names no `images`. Give a pool "
                'folder: {"name": "irrelevant_image", "pool": "images/pool"}.'
            )


class ScreenshotImage(Parameters):
    """Parameters of `screenshot_image`.

    Attributes:
        pool: a folder of screenshots, relative to `dataset_dir`.
    """

    pool: str = Field(description="a folder of screenshots, relative to `dataset_dir`")

    def check(self, dataset: RawDataset) -> None:
        """Look for the pool's images."""
        dataset.pool(self.pool)


@register_perturbation("black_image", changes=Modality.IMAGE, parameters=Canvas, removes_evidence=True)
def black_image(sample: Sample, rng: random.Random, context: RowContext, parameters: Canvas) -> Sample | None:
    """A black canvas."""
    return _on_canvas(sample, CanvasKind.BLACK, lambda: 0, parameters)


@register_perturbation("white_image", changes=Modality.IMAGE, parameters=Canvas, removes_evidence=True)
def white_image(sample: Sample, rng: random.Random, context: RowContext, parameters: Canvas) -> Sample | None:
    """A white canvas."""
    return _on_canvas(sample, CanvasKind.WHITE, lambda: 0, parameters)


@register_perturbation("random_pixels", changes=Modality.IMAGE, parameters=Canvas, removes_evidence=True)
def random_pixels(sample: Sample, rng: random.Random, context: RowContext, parameters: Canvas) -> Sample | None:
    """Pixels that are uniform noise."""
    return _on_canvas(sample, CanvasKind.NOISE, lambda: rng.getrandbits(_NOISE_SEED_BITS), parameters)


@register_perturbation("typographic_image", changes=Modality.IMAGE, parameters=TypographicImage)
def typographic_image(
    sample: Sample, rng: random.Random, context: RowContext, parameters: TypographicImage
) -> Sample | None:
    """A wrong option, or a wrong answer, written on one of the images; on a canvas where the row has none."""
    target = draw_target(sample, rng, context, parameters.answers)
    if target is None:
        return None

    seed, own = rng.getrandbits(_NOISE_SEED_BITS), list(sample.media[Modality.IMAGE])
    place = rng.randrange(len(own)) if own else 0
    on = parse(own[place]) if own else parameters.size
    if not isinstance(on, (tuple, StoredReference, FileReference)):
        return None

    own[place : place + 1] = [str(WrittenReference(target, seed, on))]
    twin = sample.with_media(Modality.IMAGE, tuple(own))
    return twin.changed(target=target) if twin is not None else None


@register_perturbation("irrelevant_image", changes=Modality.IMAGE, parameters=IrrelevantImage, removes_evidence=True)
def irrelevant_image(
    sample: Sample, rng: random.Random, context: RowContext, parameters: IrrelevantImage
) -> Sample | None:
    """A real image from a pool or from another row."""
    if parameters.pool is not None:
        return _from_pool(sample, rng, context, parameters.pool)

    images = [context.other_row_medium(rng, Modality.IMAGE) for _ in sample.media[Modality.IMAGE] or (None,)]
    found = tuple(image for image in images if image is not None)
    return sample.with_media(Modality.IMAGE, found) if len(found) == len(images) else None


@register_perturbation("screenshot_image", changes=Modality.IMAGE, parameters=ScreenshotImage, removes_evidence=True)
def screenshot_image(
    sample: Sample, rng: random.Random, context: RowContext, parameters: ScreenshotImage
) -> Sample | None:
    """A screenshot of a user interface, from a pool (out of distribution)."""
    return _from_pool(sample, rng, context, parameters.pool)


@register_perturbation("blurred_image", changes=Modality.IMAGE, parameters=BlurredImage, removes_evidence=True)
def blurred_image(sample: Sample, rng: random.Random, context: RowContext, parameters: BlurredImage) -> Sample | None:
    """Each image, blurred until only its colours can be told."""
    return _hidden(sample, Hiding.BLURRED, lambda: 0, parameters.radius)


@register_perturbation("masked_patches", changes=Modality.IMAGE, parameters=MaskedPatches, removes_evidence=True)
def masked_patches(
    sample: Sample, rng: random.Random, context: RowContext, parameters: MaskedPatches
) -> Sample | None:
    """Each image, with most of its patches black."""
    return _hidden(sample, Hiding.MASKED, lambda: rng.getrandbits(_NOISE_SEED_BITS), parameters.share)


def _hidden(sample: Sample, how: Hiding, seed: Callable[[], int], percent: int) -> Sample | None:
    """The sample with its images hidden; None where it has none, or others than stored ones."""
    images = [parse(text) for text in sample.media[Modality.IMAGE]]
    stored = [image for image in images if isinstance(image, (StoredReference, FileReference))]
    if not images or len(stored) < len(images):
        return None

    return sample.with_media(
        Modality.IMAGE, tuple(str(HiddenReference(how, seed(), percent, image)) for image in stored)
    )


def _on_canvas(sample: Sample, kind: CanvasKind, seed: Callable[[], int], parameters: Canvas) -> Sample | None:
    sizes: tuple[tuple[int, int] | str, ...] = sample.media[Modality.IMAGE] or (parameters.size,)
    return sample.with_media(Modality.IMAGE, tuple(_canvas(kind, seed(), size) for size in sizes))


def _canvas(kind: CanvasKind, seed: int, size: tuple[int, int] | str) -> str:
    """Reference to a canvas of a size, or of the size of the image that a reference names."""
    if isinstance(size, tuple):
        return str(CanvasReference(kind, seed, size))

    image = parse(size)
    if isinstance(image, HiddenReference):
        return str(CanvasReference(kind, seed, image.image))

    if isinstance(image, WrittenReference):
        return str(CanvasReference(kind, seed, image.on))

    return str(CanvasReference(kind, seed, image.size if isinstance(image, CanvasReference) else image))


def _from_pool(sample: Sample, rng: random.Random, context: RowContext, pool: str) -> Sample | None:
    files, drawn = context.dataset.pool(pool), list[str]()
    for _ in sample.media[Modality.IMAGE] or (None,):
        tries = (rng.choice(files) for _ in range(TRIES))
        file = next((file for file in tries if not context.is_own(file, Modality.IMAGE)), None)
        if file is None:  # the pool has the row's own images alone, or as good as alone
            return None

        drawn.append(str(FileReference(file)))

    return sample.with_media(Modality.IMAGE, tuple(drawn))
