"""The command `exposure data`: data sets made ready, and checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

Folder = Annotated[Path | None, tyro.conf.arg(metavar="DIR")]


@dataclass(frozen=True)
class FiveK:
    """Check a folder of MIT-Adobe FiveK, and make sRGB photos of 500 pixels and an index of it.

    Inputs may be DNG files or exports (JPEG, PNG, TIFF), expert C's photos 16-bit TIFF in ProPhoto RGB or exports. The
    names of the folders tell which is which, as in the original archive and the usual mirrors. Photos that are missing,
    there twice or wrongly rendered are listed by id. Stopped, it goes on where it was.
    """

    root: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="ROOT")]  # folder with FiveK, in any layout
    out: Folder = None  # folder for the finished photos and the index; ROOT/fivek_500 by default
    inputs: Folder = None  # folder of the inputs, if its name does not tell
    targets: Folder = None  # folder of expert C's photos, if its name does not tell
    rendition: str | None = None  # inputs to take if there are several: a folder's name (InputAsShotZeroed), or raw
    untagged: Literal["prophoto", "srgb"] | None = None  # colours of 16-bit TIFF files without a colour profile
    max_side: int = 500  # longer side of the finished photos, in pixels

    def run(self) -> int:
        """Makes the photos, and prints the report; the exit status is 1 if not all 5,000 are there."""
        from tqdm import tqdm

        from exposure_env.photos import make_fivek

        with tqdm(unit="photo", desc="FiveK") as bar:
            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            report = make_fivek(self.root, self.out, self.inputs, self.targets, self.rendition, self.untagged,
                                self.max_side, progress)
        print(report.text())
        return 0 if report.complete else 1


@dataclass(frozen=True)
class BSDS500:
    """Download the 500 photos of BSDS500, or check those that are there."""

    root: Folder = None  # folder of all data sets; by default that of EXPOSURE_DATA, or the user's cache

    def run(self) -> int:
        """Prints where the photos of each split are."""
        from exposure_env.photos import bsds500

        for split in ("train", "val", "test"):
            photos = bsds500(split, self.root)
            print(f"{split}: {len(photos)} photos in {photos.folder}")
        return 0


@dataclass(frozen=True)
class Kodak:
    """Download Kodak's 24 photos, or check those that are there."""

    root: Folder = None  # folder of all data sets; by default that of EXPOSURE_DATA, or the user's cache

    def run(self) -> int:
        """Prints where the photos are."""
        from exposure_env.photos import kodak

        photos = kodak(self.root)
        print(f"{len(photos)} photos in {photos.folder}")
        return 0


@dataclass(frozen=True)
class Data:
    """Get and check data sets: BSDS500 and Kodak's photos by download, MIT-Adobe FiveK from a folder."""

    data_set: (
        Annotated[FiveK, tyro.conf.subcommand("fivek")]
        | Annotated[BSDS500, tyro.conf.subcommand("bsds500")]
        | Annotated[Kodak, tyro.conf.subcommand("kodak")]
    )

    def run(self) -> int:
        """Runs the chosen data set's command."""
        return self.data_set.run()
