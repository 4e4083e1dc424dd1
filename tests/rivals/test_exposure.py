"""Exposure as a rival: its agent learns unpaired, against a discriminator."""

import numpy as np
import pytest

from agents.rivals.crops import Crops
from agents.rivals.exposure import fit_exposure
from exposure_env.photos import Misexpose, sample_photos, thumbnail
from exposure_env.white_box import FILTERS

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = 16
GOOD = [photo._replace(image=thumbnail(photo.image, SIZE)) for photo in sample_photos("experts", 96)]
DARK = [Misexpose((-1.5, -1.5), local=0.0)(photo, np.random.default_rng(0)) for photo in GOOD]
QUICK = {"size": SIZE, "width": 8, "num_crops": 256, "batch_size": 16}


def sources():
    return Crops([photo.image for photo in DARK[:32]], SIZE), Crops([photo.image for photo in GOOD[32:64]], SIZE, 1)


def test_it_learns_to_brighten_photos_that_are_too_dark():
    seen = []
    retouch = fit_exposure(*sources(), num_photos=800, learning_rate=1e-4, choice_learning_rate=5e-4,
                           discriminator_learning_rate=1e-3, n_critic=3, max_steps=3, warm_up=10,
                           look=lambda num, _: seen.append(num), **QUICK)
    errors = [[np.square(image - photo.target).mean() for image in (photo.image, retouch(photo.image))]
              for photo in DARK[64:]]
    assert 10 * np.log10([before / after for before, after in errors]).mean() > 1  # dB
    assert seen == list(range(16, 801, 16))


def test_the_same_seed_gives_the_same_agent_and_its_filters_are_known_by_name():
    agents = [fit_exposure(*sources(), num_photos=32, warm_up=0, seed=seed, **QUICK) for seed in (0, 0, 1)]
    results = [agent(DARK[0].image) for agent in agents]
    np.testing.assert_array_equal(results[0], results[1])
    assert np.abs(results[0] - results[2]).max() > 0
    assert len(agents[0].filters(DARK[0].image)) == 5 and set(agents[0].filters(DARK[0].image)) <= FILTERS.keys()


def test_photos_of_another_size_than_the_thumbnails_are_learned_from_and_retouched():
    larger = [np.kron(photo.image, np.ones((2, 2, 1), np.float32)) for photo in DARK[:8]]
    retouch = fit_exposure(Crops(larger, 32), Crops(larger, 32), num_photos=16, **QUICK)
    assert retouch(larger[0][:20]).shape == (20, 32, 3)


def test_amounts_below_one_are_refused():
    with pytest.raises(ValueError, match="not 0 and 16"):
        fit_exposure(*sources(), num_photos=0, **QUICK)
