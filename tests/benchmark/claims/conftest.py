import pytest

from agents.benchmark.splits import Split
from exposure_env.photos import Photo


@pytest.fixture(scope="session")
def protocol(sample_photos):
    photos = [Photo(f"{i}", image, image) for i, image in enumerate(sample_photos[:12])]
    return Split(photos, photos, photos)
