from collections import OrderedDict

import pytest

from exposure_env.segmentation import cached


@pytest.fixture(autouse=True)
def empty_memory(monkeypatch):
    memory = OrderedDict()
    monkeypatch.setattr(cached, "_memory", memory)
    return memory
