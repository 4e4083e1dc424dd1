from pathlib import Path

import numpy as np
import pytest
import skimage.data

from exposure_env.files import ImageFile, save_image
from exposure_env.image import expose
from tests.cli.small import TINY, run


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> Path:
    """Folders `photos`, `experts` and `targets` with four small photos each."""
    root = tmp_path_factory.mktemp("folders")
    for i, name in enumerate(("astronaut", "chelsea", "coffee", "rocket")):
        good = getattr(skimage.data, name)()[:240, :300]
        dark = np.clip(expose(good.astype(np.float32) / 255, -1.0), 0, 1)
        for kind, pixels in {"photos": (dark * 255).astype(np.uint8), "experts": good, "targets": good}.items():
            (root / kind).mkdir(exist_ok=True)
            save_image(root / kind / f"{i}_{name}.png", ImageFile(pixels))
    return root


@pytest.fixture(scope="session")
def trained(folders, tmp_path_factory) -> Path:
    """A run folder that `exposure train` made."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert run("train", "--photos", folders / "photos", "--experts", folders / "experts", "--out", folder,
               "quick", *TINY) == 0
    return folder
