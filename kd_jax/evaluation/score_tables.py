"""A work folder's results.csv and types.csv while a run writes them: each is read once, and replaced at a change."""

from collections.abc import Sequence
from pathlib import Path

from kd_jax.evaluation.results import Row, TypeRow, append, lane_of, read


class ScoreTables:
    """The two tables of a work folder that no other process writes.

    Args:
        workdir: the work folder; the tables are made with the first rows.
    """

    def __init__(self, workdir: Path) -> None:
        self._results, self._types = workdir / "results.csv", workdir / "types.csv"
        self._rows: list[Row] | None = None
        self._of_types: list[TypeRow] | None = None

    @property
    def rows(self) -> list[Row]:
        """Those of results.csv.

        Raises:
            InputError: as `read`.
        """
        if self._rows is None:
            self._rows = read(self._results)
        return self._rows

    def add(self, rows: Sequence[Row], types: Sequence[TypeRow]) -> None:
        """Write the rows of finished models.

        Older rows of the same columns that were trained with other settings go, so that nothing is averaged over both.

        Args:
            rows: of results.csv.
            types: of types.csv, for the same models.

        Raises:
            InputError: as `append`.
        """
        now = {row.column: row.settings for row in rows}
        self._rows = append(
            self._results, rows, Row, lambda old: now.get(old.column, old.settings) == old.settings, self._rows
        )
        alive = set(map(lane_of, self._rows)) - set(map(lane_of, rows))
        self._of_types = append(self._types, types, TypeRow, lambda old: lane_of(old) in alive, self._of_types)
