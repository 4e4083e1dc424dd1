"""How much is in memory at once."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agents.retouching import batch as retouching
from exposure_env import files
from exposure_env.files import ImageFile, load_image, pixel_bytes, save_image
from tests.repository import ROOT
from tests.retouching.small import contents, photo, run


@pytest.mark.parametrize("limit", [0, 2_500_000, 10**9])
def test_photos_in_memory_are_bounded(tmp_path, out, monkeypatch, limit):
    """From when a photo begins to be read until it is written."""
    (tmp_path / "photos").mkdir()
    for i, scale in enumerate([1, 1, 1, 2, 3, 1, 1]):
        save_image(tmp_path / "photos" / f"{i}.png", ImageFile(photo("astronaut", 600 * scale, 500)))
    held, most, together = {}, 0, 0

    def load(path):
        nonlocal most, together
        held[path.name] = pixel_bytes(path)
        most, together = max(most, sum(held.values())), max(together, len(held))
        return load_image(path)

    def save(path, *arguments, **options):
        save_image(path, *arguments, **options)
        del held[path.name]

    monkeypatch.setattr(retouching, "PIXELS_AT_ONCE", limit)
    monkeypatch.setattr(files, "load_image", load)
    monkeypatch.setattr(files, "save_image", save)
    assert run(tmp_path / "photos", "-o", out) == 0
    assert len(contents(out)) == 7 and not held
    assert most <= max(limit, 2_700_000)  # or the largest photo alone
    assert (together == 1) == (limit == 0) and together <= 3


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are told by Linux only")
@pytest.mark.parametrize(("name", "most"), [("a.jpg", 9.5), ("turned.jpg", 9.5), ("a.png", 9.5), ("wide.tif", 15)])
def test_files_take_no_more_memory_than_pixels_and_decoder(tmp_path, name, most):
    """Bytes per pixel, at 12 megapixels: 3 (or 6) of the pixels, 4 (or 6) of the decoder; the second time as the first.

    Measured: 7.8 and 8.6 for 8 bits, 14.0 for 16, where OpenCV maps the file, too. One more copy takes 3, or 6, more.
    """
    dtype = np.uint16 if name == "wide.tif" else np.uint8
    pixels = photo("astronaut", 4000, 3000, dtype)
    if name == "turned.jpg":
        tags = Image.Exif()
        tags[274] = 6
        Image.fromarray(pixels).save(tmp_path / name, exif=tags)
    else:
        save_image(tmp_path / name, ImageFile(pixels))
    program = f"""
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from exposure_env import files, kernels
from exposure_env.files import load_image, save_image
kernels.enabled()  # loads Numba
def memory(which):
    return next(int(l.split()[1]) * 1024 for l in Path("/proc/self/status").read_text().splitlines() if which in l)
path = Path({str(tmp_path / name)!r})
before = memory("VmRSS")
with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
    for _ in range(2):
        image = reader.submit(load_image, path).result()
        writer.submit(save_image, path, image).result()
        del image
print((memory("VmHWM") - before) / 12e6, (memory("VmRSS") - before) / 12e6)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    peak, left = map(float, done.stdout.split())
    assert peak < most and left < 2.5, (peak, left)
