"""Settings that make no sense are errors that name them."""

import pytest

from tests.deep_exposure.small import agent

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    "options, complaint",
    [
        ({"value": "v"}, "value must be one of .*, not 'v'"),
        ({"td_lambda": 1.5}, "td_lambda must be at most 1, not 1.5"),
        ({"critic_steps": 0}, "critic_steps must be at least 1, not 0"),
    ],
)
def test_options_that_make_no_sense(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        agent(**options)


class TestOptions:
    @pytest.mark.parametrize(
        "option, message",
        [
            ({"advantage": "printed"}, "advantage must be one of.*'printed'"),
            ({"value_image": "last"}, "value_image must be.*'last'"),
            ({"n_batches": 0}, "at least 1, not 0"),
            ({"batch_size": -2}, "at least 1, not.*-2"),
            ({"policy": "MlpPolicy"}, "MlpPolicy"),
        ],
        ids=lambda value: str(value)[:20],
    )
    def test_options_that_make_no_sense(self, option, message):
        with pytest.raises(ValueError, match=message):
            agent(**option)

    @pytest.mark.parametrize("option", [{"max_slope": -1.0}, {"ev_penalty": -0.5}, {"gamma": 1.5}], ids=str)
    def test_numbers_out_of_range(self, option):
        with pytest.raises(ValueError, match=str(next(iter(option.values())))):
            agent(**option)
