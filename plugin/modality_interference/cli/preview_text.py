"""A preview as text for the terminal."""

from collections.abc import Callable, Iterator

from ..media.thumbnails import ClipThumbnail
from ..report.text import Piece, shortened
from .exhibits import Exhibit, Picture, TwinExhibit
from .terminal import Paint, printable, width, wrapped


_LABEL = 10  # columns


def preview_text(exhibits: list[Exhibit], dataset: str, recipe: str, seed: int, total: int) -> str:
    """Rows and their twins, wrapped to the terminal, coloured where it wants that.

    Args:
        exhibits: the rows.
        dataset: its name.
        recipe: name of its folder.
        seed: of the twins.
        total: how many rows the dataset has.
    """
    paint = Paint.for_stdout()
    title = printable(f"{dataset} of {recipe}: {len(exhibits)} of {total:,} rows, twins of seed {seed}")
    return "\n".join([paint.bold(title), *(line for shown in exhibits for line in _exhibit(shown, paint))])


def _exhibit(shown: Exhibit, paint: Paint) -> Iterator[str]:
    about = "dropped" if shown.dropped else f"depends on {shown.kind}" if shown.kind != "plain" else "plain"
    yield ""
    yield paint.dim("─" * width())
    yield paint.bold(f"row {shown.row:,} ({about})")
    if not shown.dropped:
        yield _labelled("prompt", shortened(shown.prompt))
        if shown.options:
            yield _labelled("options", "\n".join(_option(*option) for option in shown.options))

        yield _labelled("answer", shortened(shown.answer), paint.good)
        yield from _pictures(shown.pictures)
        yield from _clips(shown.clips)

    for reason in shown.reasons:
        yield _labelled("dropped", reason, paint.bad)

    for twin in shown.twins:
        yield from _twin(twin, paint)


def _option(letter: str, text: str, right: bool) -> str:
    return f"{letter}: {text}{' (right)' if right else ''}"


def _twin(twin: TwinExhibit, paint: Paint) -> Iterator[str]:
    planted = f", plants: {twin.planted}" if twin.planted is not None else ""
    yield ""
    yield wrapped(printable(f"{twin.perturbation}{planted}"), "  ~ ")
    for piece in twin.pieces:
        yield from _change(piece, paint)

    for line in (*_pictures(twin.pictures or []), *_clips(twin.clips)):
        yield f"  {line}"

    if twin.kept:
        yield f"  {_labelled('unchanged', ', '.join(twin.kept))}"


def _change(piece: Piece, paint: Paint) -> Iterator[str]:
    text = printable(piece.text.strip("\n"))
    if piece.change == "added":
        yield paint.good(wrapped(text, "    + "))
    elif piece.change == "removed":
        yield paint.bad(wrapped(text, "    - "))


def _pictures(pictures: list[Picture]) -> Iterator[str]:
    if pictures:
        yield _labelled("pictures", "\n".join(f"{item.caption}, {item.size[0]} x {item.size[1]}" for item in pictures))


def _clips(clips: list[ClipThumbnail]) -> Iterator[str]:
    for clip in clips:
        yield _labelled(clip.kind, clip.caption)


def _labelled(label: str, text: str, colour: Callable[[str], str] = str) -> str:
    lead = " " * (_LABEL + 2)
    body = wrapped(printable(text), lead)
    return f"  {label:<{_LABEL}}{colour(body[len(lead) :])}"
