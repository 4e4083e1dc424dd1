"""A disk that is full: nothing is half-written, and nothing counts as done."""

import errno
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from exposure_env.files import ImageFile, save_image, written_whole
from tests.files.small import noise
from tests.retouching.small import run

resource = pytest.importorskip("resource", reason="limits on the size of files are POSIX's")


@contextmanager
def files_of_at_most(size: int):
    """A block in which files can't grow beyond that size [bytes]: the last bytes that fit are written, as on a disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("before", [None, b"an older file"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_an_image_that_does_not_fit_is_an_error(tmp_path, suffix, dtype, before):
    image, path = ImageFile(noise((120, 160, 3), dtype)), tmp_path / f"a{suffix}"
    save_image(path, image)
    length = path.stat().st_size
    path.unlink()
    if before is not None:
        path.write_bytes(before)
    for size in [*range(0, length, length // 20), length - 1]:
        with files_of_at_most(size), pytest.raises(OSError) as caught:
            save_image(path, image)
        assert caught.value.errno in (errno.EFBIG, errno.ENOSPC)
        left = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
        assert left == ({} if before is None else {path.name: before})
    with files_of_at_most(length):
        save_image(path, image)
    assert path.stat().st_size == length


def checkpoint(file):
    torch.save({"weights": torch.zeros(3000)}, file)


def figure(file):
    Figure().savefig(file, format="png")


def labels(file):
    np.savez_compressed(file, labels=np.random.default_rng(0).integers(0, 9, 9999))


@pytest.mark.parametrize("write", [checkpoint, figure, labels])
def test_so_are_other_files(tmp_path, write):
    def attempt() -> None:
        with written_whole(tmp_path / "a") as file:
            write(file)

    attempt()
    length = (tmp_path / "a").stat().st_size
    (tmp_path / "a").unlink()
    for size in (0, length // 2, length - 1):
        with files_of_at_most(size), pytest.raises((OSError, RuntimeError)):
            attempt()
        assert not any(tmp_path.iterdir())


def test_a_photo_that_did_not_fit_is_retouched_when_it_does(tmp_path, capsys):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    image = noise((12, 16, 3)).repeat(20, 0).repeat(20, 1)
    for name in ("a.jpg", "b.png", "c.tif"):
        save_image(photos / name, ImageFile(image))
    with files_of_at_most(3000):  # room for the journal
        assert run(photos, "-o", out) == 1
    told = capsys.readouterr().err
    assert all(f"{name}: " in told for name in ("a.jpg", "b.png", "c.tif"))
    assert {path.name for path in out.iterdir() if not path.name.startswith(".")} == set()
    assert run(photos, "-o", out) == 0
    assert {path.name for path in out.iterdir() if not path.name.startswith(".")} == {"a.jpg", "b.png", "c.tif"}
