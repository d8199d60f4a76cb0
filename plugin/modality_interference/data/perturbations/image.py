"""Perturbations of images: a canvas or another image in place of each, or beside a text-only question."""

import random
from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from ...media.image import MAX_CANVAS_SIDE, CanvasKind, canvas_reference, file_reference
from ...modality import Modality
from ..dataset import Context, Source
from ..registry import Parameters, register_perturbation
from ..sample import Row


_Side = Annotated[int, Field(ge=1, le=MAX_CANVAS_SIDE)]
_NOISE_SEED_BITS = 63


class Canvas(Parameters):
    """Parameters of the canvases.

    Attributes:
        size: (width, height) in pixels of a canvas that is added to a text-only row; one that replaces a picture has
            the picture's size. 336 is the side of CLIP's and LLaVA's input.
    """

    size: tuple[_Side, _Side] = Field(
        (336, 336), description=f"a list [width, height] of pixels, each from 1 to {MAX_CANVAS_SIDE}"
    )


class IrrelevantImage(Parameters):
    """Parameters of `irrelevant_image`.

    Attributes:
        pool: a folder of pictures, relative to `dataset_dir`; None for the dataset's other rows.
    """

    pool: str | None = Field(None, description="a folder of pictures, relative to `dataset_dir`")

    def check(self, source: Source) -> None:
        """Look into the pool, or for other rows with pictures."""
        if self.pool is not None:
            source.pool(self.pool)
        elif source.other_rows is None:
            raise source.error(
                "`irrelevant_image` without a pool draws from other rows, and streaming has no random access. Give a "
                'pool folder: {"name": "irrelevant_image", "pool": "images/pool"}, or set `streaming: false`.'
            )
        elif "images" not in source.columns:
            raise source.error(
                "`irrelevant_image` without a pool draws from other rows, and `columns` names no `images`. Give a pool "
                'folder: {"name": "irrelevant_image", "pool": "images/pool"}.'
            )


class ScreenshotImage(Parameters):
    """Parameters of `screenshot_image`.

    Attributes:
        pool: a folder of screenshots, relative to `dataset_dir`.
    """

    pool: str = Field(description="a folder of screenshots, relative to `dataset_dir`")

    def check(self, source: Source) -> None:
        """Look into the pool."""
        source.pool(self.pool)


@register_perturbation("black_image", changes=Modality.IMAGE, parameters=Canvas)
def black_image(row: Row, draw: random.Random, context: Context, parameters: Canvas) -> Row | None:
    """A black canvas."""
    return _on_canvas(row, CanvasKind.BLACK, lambda: 0, parameters)


@register_perturbation("white_image", changes=Modality.IMAGE, parameters=Canvas)
def white_image(row: Row, draw: random.Random, context: Context, parameters: Canvas) -> Row | None:
    """A white canvas."""
    return _on_canvas(row, CanvasKind.WHITE, lambda: 0, parameters)


@register_perturbation("random_pixels", changes=Modality.IMAGE, parameters=Canvas)
def random_pixels(row: Row, draw: random.Random, context: Context, parameters: Canvas) -> Row | None:
    """Pixels that are uniform noise."""
    return _on_canvas(row, CanvasKind.NOISE, lambda: draw.getrandbits(_NOISE_SEED_BITS), parameters)


@register_perturbation("irrelevant_image", changes=Modality.IMAGE, parameters=IrrelevantImage)
def irrelevant_image(row: Row, draw: random.Random, context: Context, parameters: IrrelevantImage) -> Row | None:
    """A real picture from a pool or from another row."""
    if parameters.pool is not None:
        return _from_pool(row, draw, context, parameters.pool)

    pictures = [context.other_row_picture(draw) for _ in row.images or (None,)]
    found = tuple(picture for picture in pictures if picture is not None)
    return row.with_images(found) if len(found) == len(pictures) else None


@register_perturbation("screenshot_image", changes=Modality.IMAGE, parameters=ScreenshotImage)
def screenshot_image(row: Row, draw: random.Random, context: Context, parameters: ScreenshotImage) -> Row | None:
    """A screenshot of a user interface, from a pool (out of distribution)."""
    return _from_pool(row, draw, context, parameters.pool)


def _on_canvas(row: Row, kind: CanvasKind, seed: Callable[[], int], parameters: Canvas) -> Row | None:
    sizes: tuple[tuple[int, int] | str, ...] = row.images or (parameters.size,)
    return row.with_images(tuple(canvas_reference(kind, seed(), size) for size in sizes))


def _from_pool(row: Row, draw: random.Random, context: Context, pool: str) -> Row | None:
    files = context.source.pool(pool)
    return row.with_images(tuple(file_reference(draw.choice(files)) for _ in row.images or (None,)))
