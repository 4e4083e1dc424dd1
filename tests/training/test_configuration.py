"""Configurations."""

import pytest

from agents.training.configuration import decay


def test_decay_is_exponential_in_the_progress():
    schedule = decay(1e-4, 0.01)
    assert schedule(1.0) == pytest.approx(1e-4)
    assert schedule(0.5) == pytest.approx(1e-5)
    assert schedule(0.0) == pytest.approx(1e-6)
    assert {decay(0.3, 1)(remaining) for remaining in (1, 0.7, 0)} == {0.3}
