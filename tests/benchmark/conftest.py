"""Photos as the benchmark wants them, and a benchmark that is partly finished; nobody changes them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from agents.benchmark.cells import Benchmark
from agents.benchmark.making import make_benchmark
from exposure_env.files import ImageFile, save_image
from exposure_env.image import clip, expose


@pytest.fixture(scope="module", autouse=True)
def one_thread_for_all():
    """As the benchmark's own processes have."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def as_file(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_image(path, ImageFile(np.round(image * 255).astype(np.uint8)))


@pytest.fixture(scope="session")
def fivek(tmp_path_factory, sample_photos) -> Path:
    """Six pairs, a stop too dark, and a few unpaired photos, laid out as the benchmark wants them."""
    root = tmp_path_factory.mktemp("fivek")
    for i, image in enumerate(sample_photos[:12]):
        dark = clip(expose(image, -1.0))
        if i < 6:
            as_file(root / "fivek_pairs" / "input" / f"a{i}.png", dark)
            as_file(root / "fivek_pairs" / "expert_c" / f"a{i}.png", image)
        elif i < 9:
            as_file(root / "fivek_unpaired" / "raw" / f"b{i}.png", dark)
        else:
            as_file(root / "fivek_unpaired" / "expert_c" / f"c{i}.png", image)
    return root


@pytest.fixture(scope="session")
def photos(tmp_path_factory, sample_photos) -> Path:
    """Ten good photos."""
    root = tmp_path_factory.mktemp("photos")
    for i, image in enumerate(sample_photos[:10]):
        as_file(root / f"{i}.png", image)
    return root


@pytest.fixture(scope="session")
def done(tmp_path_factory, photos) -> Benchmark:
    """A benchmark of which two learners and three baselines are finished."""
    benchmark = make_benchmark("misexposed", photos, out=tmp_path_factory.mktemp("runs") / "new", quick=True)
    for cell in benchmark.cells(["identity", "constant EV", "best single EV", "II", "paired"]):
        benchmark.run_cell(cell)
    return benchmark
