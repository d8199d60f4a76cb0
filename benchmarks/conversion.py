"""How fast rows become twins, beside LLaMA-Factory's stock converter, and whether memory stays flat over a million rows.

    python benchmarks/conversion.py
    python benchmarks/conversion.py --rows 100000

Needs no model and no network. First both converters convert the same streamed rows in turn, as runs do it, and the medians
are compared per emitted row (a row, or one of its twins); then the functions are called alone. Then synthetic rows stream
through the whole conversion, and rows per second and the peak of the process's memory are printed on the way.
"""

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from datasets import Features, IterableDataset, Value
from llamafactory.data import converter as stock_converters
from llamafactory.data.parser import DatasetAttr
from llamafactory.hparams import DataArguments
from PIL import Image

from modality_interference.data import schema as features
from modality_interference.data.converter import TwinConverter, make_converter
from modality_interference.data.spec import TwinsSpec
from modality_interference.files import MediaFolders


CHUNK = 2_000
ROUNDS = 15
MARKS = (10_000, 100_000, 1_000_000)
IMAGES = 100
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "white", "black")
COLUMNS = {"prompt": "instruction", "query": "input", "response": "output", "images": "images"}
TWIN_COLUMNS = COLUMNS | {"choices": "choices", "answer": "answer"}
PERTURBATIONS = ("misleading_text", "unrelated_text", "given_text")
RAW = Features(
    {"instruction": Value("string"), "input": Value("string"), "output": Value("string"), "answer": Value("string")}
    | {"images": [Value("string")], "choices": [Value("string")], "facts": Value("string")}
)


def row(index: int) -> dict[str, Any]:
    """A question about an image, as an alpaca row with options."""
    options = [COLOURS[(index + shift) % len(COLOURS)] for shift in range(4)]
    return {
        "instruction": f"<image>Question:\nWhich colour has the object number {index}?\nOption:\n{options}",
        "input": "Answer with the text of the right option.",
        "output": options[index % 4],
        "answer": "ABCD"[index % 4],
        "images": [f"{index % IMAGES}.png"],
        "choices": options,
        "facts": f"The picture before it has the number {index - 1}.",
    }


def rows(count: int) -> Iterator[dict[str, Any]]:
    """That many of them."""
    yield from map(row, range(count))


def converters(folder: Path) -> tuple[Callable[[dict[str, Any]], dict[str, Any]], TwinConverter]:
    """LLaMA-Factory's converter and the plugin's, for the same rows."""
    for index in range(IMAGES):
        Image.new("RGB", (8, 8), COLOURS[index % len(COLOURS)]).save(folder / f"{index}.png")

    attribute = DatasetAttr("file", "rows.json")
    attribute.join({"columns": COLUMNS})
    stock = stock_converters.DATASET_CONVERTERS["alpaca"](attribute, DataArguments(dataset_dir=str(folder)))
    block = {"relevant": ["image"], "perturbations": list(PERTURBATIONS)}
    twins = make_converter(
        formatting="alpaca_twins",
        spec=TwinsSpec.parse(block, "rows", "alpaca_twins"),
        columns=TWIN_COLUMNS | {"distractors": "facts"},
        dataset_name="rows",
        column_names=list(RAW),
        base_converter=stock,
        find_media=stock._find_medias,
        media_folders=MediaFolders(str(folder), (os.path.realpath(folder),)),
    )
    return stock, twins


def compare(title: str, stock: Callable[[int], Any], twins: Callable[[int], Any]) -> None:
    """Time both in turn.

    Args:
        title: what is timed.
        stock: converts `CHUNK` rows, the number of the round given.
        twins: likewise.
    """
    emitted = 1 + len(PERTURBATIONS)
    times: dict[str, list[float]] = {"stock": [], "twins": []}
    for round_ in range(ROUNDS):
        for name, convert in (("stock", stock), ("twins", twins)):
            start = time.perf_counter()
            convert(round_)
            times[name].append((time.perf_counter() - start) / CHUNK)

    one, other = (statistics.median(times[name]) for name in ("stock", "twins"))
    other /= emitted
    print(f"{title}, {emitted} emitted rows per row, medians of {ROUNDS} chunks of {CHUNK:,} rows:")
    print(f"    stock {one * 1e6:6.1f} us per row, twins {other * 1e6:6.1f} us per emitted row: {other / one:.2f}")


def compare_streams(stock: Callable[..., Any], twins: TwinConverter) -> None:
    """As runs convert streamed rows."""

    def read(dataset: IterableDataset) -> None:
        for _ in dataset:
            pass

    def read_stock(_: int) -> None:
        read(stream(CHUNK).map(stock, remove_columns=list(RAW)))

    def read_twins(_: int) -> None:
        read(converted(twins, CHUNK))

    compare("As streamed", read_stock, read_twins)


def compare_calls(stock: Callable[..., Any], twins: TwinConverter) -> None:
    """The functions alone, without what `datasets` does around them."""
    chunks = [[row(round_ * CHUNK + index) for index in range(CHUNK)] for round_ in range(ROUNDS)]

    def call_stock(round_: int) -> None:
        for item in chunks[round_]:
            stock(item)

    def call_twins(round_: int) -> None:
        for index, item in enumerate(chunks[round_]):
            twins(item, index)

    compare("Functions alone", call_stock, call_twins)


def stream(count: int) -> IterableDataset:
    """Raw rows, streamed."""
    return IterableDataset.from_generator(rows, features=RAW, gen_kwargs={"count": count})


def converted(twins: TwinConverter, count: int) -> IterableDataset:
    """The same rows with twins."""
    raw = stream(count)
    return raw.map(twins, with_indices=True, remove_columns=list(RAW), features=features.aligned(raw, TWIN_COLUMNS))


def measure(twins: TwinConverter, count: int) -> None:
    """Rows per second and peak memory of a stream, at every mark."""
    start = time.perf_counter()
    for number, _ in enumerate(converted(twins, count), 1):
        if number in MARKS or number == count:
            speed = number / (time.perf_counter() - start)
            print(f"{number:10,} rows streamed: {speed:8,.0f} rows/s, peak memory {peak():6.1f} MB", flush=True)


def peak() -> float:
    """The largest resident memory of this process so far, in MB."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return kilobytes / 1024


def main() -> None:
    """Compare, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=MARKS[-1], help="how many rows to stream (default: 1,000,000)")
    count = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        stock, twins = converters(Path(folder))
        compare_streams(stock, twins)
        compare_calls(stock, twins)
        measure(twins, count)


if __name__ == "__main__":
    main()
