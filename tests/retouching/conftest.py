from pathlib import Path

import pytest
import torch

from agents.saved_agent import load_agent, save_agent
from exposure_env.files import ImageFile, save_image
from exposure_env.photos import sample_photos
from tests.retouching.small import photo


@pytest.fixture
def photos(tmp_path) -> Path:
    """A folder with three small photos, and what doesn't belong to them."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name, scene in {"a.png": "astronaut", "b.JPG": "chelsea", "c.tif": "coffee", "sub/d.png": "rocket",
                        ".hidden.png": "rocket"}.items():
        save_image(folder / name, ImageFile(photo(scene, 90, 60)))
    (folder / "notes.txt").write_text("not a photo")
    return folder


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


@pytest.fixture(scope="session")
def other_agent(tmp_path_factory) -> Path:
    """The shipped agent with one weight changed a little."""
    agent = load_agent()
    with torch.no_grad():
        next(iter(agent.policy.actor.parameters())).view(-1)[0] += 0.125
    path = tmp_path_factory.mktemp("other") / "agent.safetensors"
    save_agent(path, agent.policy, agent.task(sample_photos("test", 1)))
    return path
