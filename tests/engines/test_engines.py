"""Every engine ends with the weights of one process that trains on the same global batches.

The data falls unevenly on the two ranks (`uneven_data.py`), so losses must be averages over the global batch.
`make test-engines` runs the whole table and writes `table.md`.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.engines.cells import ACCUMULATIONS, ATTACKS, CELLS, GONE, STEPS, TUNINGS, Cell
from helpers.engines.launching import ENGINES, SINGLE, Engine, launch, logged, weights, wrappers
from helpers.engines.uneven_data import BATCHES, ROWS_PER_BATCH, TEXT_BATCHES, write_uneven
from helpers.loading import load_data
from safetensors.torch import load_file

from modality_interference.batching.batch import TwinBatch


TOLERANCE = 1e-5
QUICK = [Cell("full", "pgd", 1), Cell("lora", "pgd", 2)]  # of `make test`
# the others are in the whole table: ZeRO-3 with its optimizer on the CPU, and DDP started by Ray, take a third of the time
QUICK_ENGINES = [name for name in ENGINES if name not in ("zero3_offload", "ray")]
POISONED = Cell("full", "none", 1, poisoned=True)
TEXT_RANKS = [Cell(tuning, "pgd", 1, dataset="text_ranks") for tuning in TUNINGS]
TOGETHER = [*QUICK, POISONED]  # in one launch
TABLE = Path(__file__).with_name("table.md")
Train = Callable[[Engine, list[Cell]], Path]


class Table:
    """The largest difference of a parameter from one process, by engine and cell."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], float] = {}

    def enter(self, engine: str, cell: Cell, difference: float) -> None:
        """Note a measured cell."""
        self.found[engine, str(cell)] = difference

    def write(self, path: Path) -> None:
        """Write the table, once every cell of it was measured."""
        if len(self.found) == len(ENGINES) * len(CELLS):
            path.write_text(self.markdown())

    def markdown(self) -> str:
        """One line per engine and tuning, one column per attack and accumulation."""
        columns = [(attack, accumulation) for attack in ATTACKS for accumulation in ACCUMULATIONS]
        titles = [f"{'no attack' if attack == 'none' else attack}, {accumulation}" for attack, accumulation in columns]
        titles.append("pgd and counterfactual rows, 2")
        lines = [f"| engine | tuning | {' | '.join(titles)} |", f"| --- | --- |{' ---: |' * len(titles)}"]
        for name, engine in ENGINES.items():
            for tuning, gone in zip(TUNINGS, GONE):
                cells = [
                    self.found[name, str(cell)] for cell in (*(Cell(tuning, *column) for column in columns), gone)
                ]
                lines.append(
                    f"| {engine.title} | {tuning} | {' | '.join(f'{difference:.0e}' for difference in cells)} |"
                )

        return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def uneven(tmp_path_factory) -> Path:
    return write_uneven(tmp_path_factory.mktemp("uneven"))


@pytest.fixture(scope="session")
def train(checkpoint, uneven, tmp_path_factory) -> Train:
    """Trains cells on an engine, each once, and gives the folder of their outputs."""
    folders: dict[str, Path] = {}

    def run(engine: Engine, cells: list[Cell]) -> Path:
        folder = folders.setdefault(engine.title, tmp_path_factory.mktemp("engine"))
        ranks = 1 if engine is SINGLE else 2
        missing = [cell for cell in cells if not (folder / str(cell) / "all_results.json").exists()]
        if missing:
            keys = [cell.keys(checkpoint("qwen2_5_vl"), uneven, folder, ranks) for cell in missing]
            launch(engine, keys, folder)

        return folder

    return run


def largest_difference(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    assert found.keys() == expected.keys()
    assert all(tensor.dtype == torch.float32 for tensor in found.values())
    return max((found[name] - expected[name]).abs().max().item() for name in expected)


def check_wrapper(engine: Engine, output_dir: Path) -> None:
    found = list(wrappers(output_dir))
    assert len(found) == 2
    for wrapper in found:
        assert engine.wrapper in wrapper["classes"]
        assert wrapper["sharded"] == engine.sharded
        assert (wrapper["world_size"], wrapper["zero_stage"]) == (2, engine.zero_stage)


def difference(engine: Engine, cell: Cell, cells: list[Cell], train: Train) -> float:
    """Train a cell among others, check how, and compare its weights and its log with those of one process."""
    alone, together = train(SINGLE, cells) / str(cell), train(engine, cells) / str(cell)
    check_wrapper(engine, together)
    assert len(logged(together)) == STEPS
    for one, other in zip(logged(together), logged(alone), strict=True):
        figures = {name for name in other if name.startswith(("loss", "twin_", "adversarial_", "evidence_"))}
        assert ("evidence_margin" in figures) == (cell in GONE)
        assert {name: one[name] for name in figures} == pytest.approx(
            {n: other[n] for n in figures}, rel=1e-4, abs=1e-5
        )

    return largest_difference(weights(together), weights(alone))


@pytest.mark.slow
@pytest.mark.parametrize("cell", QUICK, ids=str)
@pytest.mark.parametrize("name", QUICK_ENGINES)
def test_pgd(name: str, cell: Cell, train: Train):
    assert difference(ENGINES[name], cell, TOGETHER, train) <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK_ENGINES)
def test_a_step_without_a_finite_gradient_changes_nothing(name: str, train: Train):
    assert difference(ENGINES[name], POISONED, TOGETHER, train) <= TOLERANCE
    for engine in (SINGLE, ENGINES[name]):
        log = logged(train(engine, TOGETHER) / str(POISONED))
        assert [line["skipped_nonfinite"] for line in log] == [0, 1, 0]


@pytest.mark.engines
@pytest.mark.parametrize("cell", TEXT_RANKS, ids=str)
@pytest.mark.parametrize("name", ["ddp", "zero3"])
def test_a_rank_with_text_rows_only(name: str, cell: Cell, train: Train):
    """A rank that ran no vision tower would let the others wait: LLaMA-Factory issues 5616 and 7157."""
    assert difference(ENGINES[name], cell, TEXT_RANKS, train) <= TOLERANCE


@pytest.mark.engines
@pytest.mark.parametrize("cell", GONE, ids=str)
@pytest.mark.parametrize("name", ["ddp", "zero3"])
def test_counterfactual_rows(name: str, cell: Cell, train: Train):
    """Ranks without one, and with unequally many and unequally many rows of options."""
    assert difference(ENGINES[name], cell, GONE, train) <= TOLERANCE


@pytest.fixture(scope="module")
def table():
    measured = Table()
    yield measured
    measured.write(TABLE)


@pytest.mark.engines
@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("name", ENGINES)
def test_whole_table(name: str, cell: Cell, train: Train, table: Table):
    found = difference(ENGINES[name], cell, CELLS, train)
    table.enter(name, cell, found)
    assert found <= TOLERANCE


# what the comparison rests on


@pytest.mark.engines
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_training_and_attack_move_the_weights_far_more_than_the_tolerance(cell: Cell, train: Train, checkpoint):
    folder = train(SINGLE, CELLS)
    trained = weights(folder / str(cell))
    if cell.tuning == "full":
        start = load_file(checkpoint("qwen2_5_vl") / "model.safetensors")
    else:
        trained = {name: tensor for name, tensor in trained.items() if "lora_B" in name}  # which start from zero
        start = {name: torch.zeros_like(tensor) for name, tensor in trained.items()}

    assert largest_difference(trained, start) > 100 * TOLERANCE
    for attack in {"none", "pgd", "freelb"} - ({cell.attack} if cell not in GONE else set()):
        other = weights(folder / str(Cell(cell.tuning, attack, cell.accumulation)))
        assert largest_difference(weights(folder / str(cell)), other) > 10 * TOLERANCE


def test_rows_fall_unevenly_on_two_ranks(checkpoint, uneven, tmp_path):
    """Steps in which one rank has nothing to attack, either rank; and batches unequal in tokens and rows."""
    loaded = load_data(Cell("full", "pgd", 1).keys(checkpoint("qwen2_5_vl"), uneven, tmp_path, 1) | {"use_cpu": True})
    examples = [loaded.train[index] for index in range(len(loaded.train))]
    collator = loaded.collator()
    batches = [
        TwinBatch.split(collator(examples[start : start + ROWS_PER_BATCH]))
        for start in range(0, len(examples), ROWS_PER_BATCH)
    ]
    assert len(batches) == len(BATCHES)
    attacked = [len(batch.masked_rows) for batch in batches]
    pairs = list(zip(attacked[::2], attacked[1::2]))
    assert [(first > 0, second > 0) for first, second in pairs[:4]] == [(1, 0), (0, 1), (1, 1), (0, 0)]
    assert pairs[2][0] != pairs[2][1]
    assert len({len(batch.labels) for batch in batches}) > 2
    tokens = [int(batch.answer_positions.sum()) for batch in batches]
    assert all(first != second for first, second in zip(tokens[:6:2], tokens[1:6:2]))


def test_some_ranks_have_text_rows_only(checkpoint, uneven, tmp_path):
    keys = TEXT_RANKS[0].keys(checkpoint("qwen2_5_vl"), uneven, tmp_path, 1) | {"use_cpu": True}
    has_image = [bool(example["images"] or example["twin_images"]) for example in load_data(keys).train]
    of_batches = [any(has_image[start : start + ROWS_PER_BATCH]) for start in range(0, len(has_image), ROWS_PER_BATCH)]
    assert of_batches == [any("image" in about for about in batch) for batch in TEXT_BATCHES]
    assert list(zip(of_batches[::2], of_batches[1::2])) == [(True, False), (False, True), (False, False)]
