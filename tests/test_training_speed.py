"""The training benchmark: its literal rival is the paper's algorithm, and its ratios are what they say."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.deep_exposure.gradients import GRADIENTS
from agents.training.building import build
from agents.training.configuration import PRESETS
from exposure_env.episode import EpisodeState
from exposure_env.photos import Photo
from tests.repository import ROOT

FILE = ROOT / "benchmarks" / "training_speed.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("training_speed", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("value", ["discriminator", "critic"])
def test_the_literal_loop_has_our_gradient(benchmark, sample_photos, one_thread, value):
    """Without noise, step by step and one by one: the gradient that DeepExposure takes from the same episodes."""
    config = replace(PRESETS["planes"], device="cpu", width=4, max_segments=3, num_envs=3, n_batches=1, batch_size=3,
                     value=value, value_image="next", shaping=False, td_lambda=0.0, exploration=0.0, ev_penalty=0.1)
    photos = [Photo(f"{i}", image) for i, image in enumerate(sample_photos[:3])]
    model, _ = build(config, photos, photos)
    task = model.exposure_env.task
    ours = benchmark.Literal(config, task, None)
    torch.nn.init.normal_(ours.actor.stack.head.weight, std=0.1)
    model.policy.actor.load_state_dict(ours.actor.state_dict())
    if value == "critic":
        model.policy.critic.load_state_dict(ours.critic.state_dict())
    model.exposure_env.envs.obs_type = "float32"  # the literal loop doesn't round to bytes
    scenes = [task.scene(i, np.random.default_rng(0)) for i in range(3)]
    columns = (None if array is None else torch.as_tensor(array) for array in task.start(scenes))
    state, transitions = EpisodeState(*columns), 0
    while (state.step < state.num_segments).any():
        active = state.step < state.num_segments
        after = ours.step(benchmark.select(state, active), torch.zeros(int(active.sum())))
        evs, step = state.evs.clone(), state.step.clone()
        evs[active], step[active] = after.evs.detach(), after.step
        state, transitions = state._replace(evs=evs, step=step), transitions + int(active.sum())
    assert transitions == int(state.num_segments.sum()) > 3
    loss, _ = GRADIENTS[value](model, state)
    expected = torch.autograd.grad(loss, list(model.policy.actor.parameters()))
    for parameter, gradient in zip(ours.actor.parameters(), expected, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-4 * float(gradient.abs().max()) + 1e-7)
    if value == "critic":
        assert all(parameter.grad.abs().sum() > 0 for parameter in ours.critic.parameters())


def test_the_table_has_the_ratios_of_each_round(benchmark):
    rates = {name: {"cpu": cpu, "wall": [value / 2 for value in cpu]} for name, cpu in {
        "II": [100.0, 300.0, 200.0], "literal II": [50.0, 100.0, 100.0], "I": [90.0, 90.0, 90.0],
        "literal I": [90.0, 45.0, 30.0]}.items()}
    lines = benchmark.lines(rates)
    assert "200 (100 to 300)" in lines[1] and "100 (50 to 150)" in lines[1]
    assert lines[2].count("2.00 (2.00 to 3.00)") == 2 and lines[4].count("2.00 (1.00 to 3.00)") == 2
    assert len(lines) == 5 and lines[3].endswith("45 (45 to 45)")


def test_every_contender_plays_and_learns(benchmark, sample_photos, one_thread):
    """As many transitions as they say, and weights that move; with the discriminator's training."""
    photos = [Photo(f"{i}", image, image) for i, image in enumerate(sample_photos[:8])]
    config = replace(PRESETS["planes"], device="cpu", width=4, max_segments=3, num_envs=4, n_batches=1, batch_size=4,
                     warm_up=0, n_critic=1, discriminator_batch_size=4)
    rates = benchmark.measure(config, benchmark.Split(photos, photos, photos), True, 1)
    assert set(rates) == {*benchmark.OURS, *(rival for rivals in benchmark.RIVALS.values() for rival in rivals)}
    assert all(len(values) == 1 and values[0] > 0 for rate in rates.values() for values in rate.values())
    model, game = build(config, photos, photos)
    literal = benchmark.Literal(replace(config, value="critic"), model.exposure_env.task, game)
    networks = (literal.actor, literal.critic, game.trainer.network)
    before = [network.stack.head.weight.clone() for network in networks]
    assert 4 <= literal.update() <= 12
    for network, weight in zip(networks, before, strict=True):
        assert not torch.equal(network.stack.head.weight, weight)


def test_no_rounds_are_refused(benchmark):
    with pytest.raises(SystemExit, match="not 0 and 1"):
        benchmark.main(benchmark.BenchmarkTraining(rounds=0))
