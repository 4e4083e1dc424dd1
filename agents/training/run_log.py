"""The log of a training run, which a resumed run continues: progress.csv and TensorBoard's events."""

import csv
import io
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat, filter_excluded_keys
from torch.utils.tensorboard import SummaryWriter

from exposure_env.files import write_whole

PROGRESS = "progress.csv"


class ProgressLog(KVWriter):
    """SB3's log as a CSV file that a resumed run continues.

    Args:
        path: File to write.
        rows: Number of existing rows to keep; the rest, written after the last checkpoint, are dropped.
    """

    def __init__(self, path: Path, rows: int = 0):
        self.path, self.keys = path, []
        if kept := self._rows()[: rows + 1] if rows and path.exists() else []:
            self.keys = kept[0]
        self._begin(kept[1:])

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Appends a row; arguments as in SB3."""
        values = filter_excluded_keys(key_values, key_excluded, "csv")
        if fresh := [key for key in values if key not in self.keys]:
            self.keys += fresh
            self.close()
            self._begin(self._rows()[1:])
        self.writer.writerow([values.get(key, "") for key in self.keys])
        self.file.flush()

    def close(self) -> None:
        """Closes the file."""
        self.file.close()

    def _rows(self) -> list[list[str]]:
        return list(csv.reader(self.path.read_text().splitlines()))

    def _begin(self, rows: list[list[str]]) -> None:
        """Writes header and rows, padded to the header, whole or not at all, and opens the file to append to it."""
        padded = [row + [""] * (len(self.keys) - len(row)) for row in rows]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.keys, *padded] if self.keys else [])
        write_whole(self.path, text.getvalue())
        self.file = open(self.path, "a", newline="")
        self.writer = csv.writer(self.file, lineterminator="\n")


class Events(TensorBoardOutputFormat):
    """TensorBoard's events; existing ones of later steps, written after the last checkpoint, are hidden.

    Args:
        folder: Folder to write to.
        step: Last existing step to show.
    """

    def __init__(self, folder: Path, step: int = 0):
        self.writer, self._is_closed = SummaryWriter(str(folder), purge_step=step + 1), False


def run_logger(folder: Path, rows: int = 0, step: int = 0) -> Logger:
    """SB3's logger for a run.

    Args:
        folder: Folder to write to.
        rows: Number of rows to keep in an existing progress.csv.
        step: Exposures tried when the last of these rows was written.
    """
    return Logger(str(folder), [ProgressLog(folder / PROGRESS, rows), Events(folder, step)])
