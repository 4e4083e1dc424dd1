"""The devices to play on."""

import pytest

from tests.deep_exposure.on_device import NO_GPU


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=NO_GPU)])
def device(request):
    return request.param
