"""The Markdown table of the engines, as measured."""

from pathlib import Path

from helpers.engines.cells import ACCUMULATIONS, ATTACKS, CELLS, TUNINGS, Cell
from helpers.engines.launching import ENGINES


class Table:
    """Largest differences of a parameter from one process, by engine and cell."""

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
        lines = [f"| engine | tuning | {' | '.join(titles)} |", f"| --- | --- |{' ---: |' * len(columns)}"]
        for name, engine in ENGINES.items():
            for tuning in TUNINGS:
                cells = [self.found[name, str(Cell(tuning, *column))] for column in columns]
                lines.append(
                    f"| {engine.title} | {tuning} | {' | '.join(f'{difference:.0e}' for difference in cells)} |"
                )

        return "\n".join(lines) + "\n"
