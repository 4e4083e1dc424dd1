"""The agent of "Exposure": which filter, how much of it, and what it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import data_equivalence
from stable_baselines3.common.evaluation import evaluate_policy

from agents.rewards.discriminator import DiscriminatorReward
from agents.rewards.trainer import DiscriminatorTrainer
from agents.rivals.white_box import WhiteBoxAgent, WhiteBoxConfig, fit_white_box
from exposure_env import WhiteBoxEnv
from exposure_env.photos import Misexpose, Photo, sample_photos, thumbnail
from exposure_env.white_box import FILTERS

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = 16
GOOD = [Photo(photo.name, thumbnail(photo.image, SIZE)) for photo in sample_photos("experts", 8)]
DARK = [Misexpose((-1.5, -1.5), local=0.0)(photo, np.random.default_rng(0)) for photo in GOOD]
EXPERTS = np.stack([photo.image for photo in GOOD])
QUICK = WhiteBoxConfig(iterations=60, batch_size=32, learning_rate=1e-3, critic_learning_rate=1e-3, width=8)


def brightness(images):
    return images.mean((1, 2, 3))


brightness.differentiable = True


def stirred(seed=0):
    """An agent with preferences and parameters of its own for every photo."""
    torch.manual_seed(seed)
    agent = WhiteBoxAgent(SIZE, width=8).eval()
    for stack in (agent.chooser, agent.tuner):
        torch.nn.init.normal_(stack.head.weight, std=2.0)
    return agent


def played(agent, env, photo):
    """The result and the infos of the last step, of the agent's episode on a photo."""
    observation, _ = env.reset(options={"photo": photo})
    done = False
    while not done:
        observation, _, done, _, info = env.step(agent.predict(observation)[0])
    return env.result(), info


class TestAgent:
    def test_untrained_all_filters_are_as_likely_and_change_next_to_nothing(self):
        torch.manual_seed(0)
        agent = WhiteBoxAgent(SIZE, width=8)
        logits, unit = agent(torch.rand(3, SIZE, SIZE, 12))
        assert not logits.any() and unit.unique().tolist() == pytest.approx([-0.9, 0.0])
        result, _ = played(agent, WhiteBoxEnv(DARK, size=SIZE, obs_type="float32"), 0)
        np.testing.assert_allclose(result, DARK[0].image, atol=1e-6)

    def test_one_observation_gets_one_action_and_many_as_many(self):
        agent, observations = stirred(), np.random.default_rng(0).random((4, SIZE, SIZE, 12)).astype(np.float32)
        many, state = agent.predict(observations, state="kept")
        assert many.shape == (4, 47) and many.dtype == np.float32 and state == "kept"
        assert (np.sort(many[:, :8]) == [-1] * 7 + [1]).all() and np.abs(many[:, 8:]).max() <= 1
        np.testing.assert_allclose(agent.predict(observations[1])[0], many[1], atol=1e-5)
        levels = np.rint(observations * 255).astype(np.uint8)
        np.testing.assert_allclose(agent.predict(levels)[0],
                                   agent.predict((levels / np.float32(255)).astype(np.float32))[0], atol=1e-6)

    def test_chance_decides_where_it_is_asked_for(self):
        torch.manual_seed(0)
        actions, _ = WhiteBoxAgent(SIZE, width=8).predict(np.zeros((64, SIZE, SIZE, 12), np.uint8), deterministic=False)
        assert len(set(actions[:, :8].argmax(1))) == len(FILTERS)

    def test_a_photo_of_the_agents_size_is_retouched_as_in_the_environment(self):
        agent, env = stirred(), WhiteBoxEnv(DARK, size=SIZE, obs_type="float32", max_steps=3)
        for photo in DARK[:3]:
            np.testing.assert_allclose(agent.retouched(photo.image, 3), played(agent, env, photo)[0], atol=1e-6)

    def test_the_filters_that_it_chooses_make_its_result(self):
        agent, image = stirred(), DARK[0].image
        chosen = agent.choices(image, 3)
        for name, parameters in chosen:
            image = FILTERS[name].apply(image[None], parameters[None])[0].clip(0, 1)
            assert parameters.shape == (FILTERS[name].num_parameters,)
        assert len(chosen) == 3
        np.testing.assert_array_equal(agent.retouched(DARK[0].image, 3), image)

    def test_a_larger_photo_keeps_its_size(self):
        photo = np.kron(DARK[0].image, np.ones((3, 2, 1), np.float32))  # its thumbnail is the small photo
        small = stirred().retouched(DARK[0].image)
        np.testing.assert_allclose(stirred().retouched(photo), np.kron(small, np.ones((3, 2, 1))), atol=1e-4)

    def test_stable_baselines_can_evaluate_it(self):
        mean, _ = evaluate_policy(stirred(), WhiteBoxEnv(DARK, size=SIZE), n_eval_episodes=2, warn=False)
        assert np.isfinite(mean)


class TestTraining:
    def test_it_learns_to_brighten_photos_that_are_too_dark(self):
        env, seen = WhiteBoxEnv(DARK, size=SIZE, max_steps=2, reuse_penalty=0.5), []
        agent = fit_white_box(env, QUICK, look=lambda number, told, _: seen.append((number, told)))
        gains = [info["score"] - info["input_score"] for info in
                 (played(agent, env, index)[1] for index in range(len(DARK)))]
        assert np.mean(gains) > 8  # dB
        assert [number for number, _ in seen] == list(range(1, 61))
        assert abs(seen[0][1]["gain"]) < 1 and seen[-1][1]["gain"] > 5
        assert seen[0][1]["entropy"] == pytest.approx(np.log(8), abs=0.01) and seen[-1][1]["entropy"] < 1.8

    def test_the_same_seed_gives_the_same_agent(self):
        brief = replace(QUICK, iterations=2, batch_size=4)
        states = [fit_white_box(WhiteBoxEnv(DARK, size=SIZE), config).state_dict()
                  for config in (brief, brief, replace(brief, seed=1))]
        same = [data_equivalence({name: each.numpy() for name, each in states[0].items()},
                                 {name: each.numpy() for name, each in other.items()}, exact=True)
                for other in states[1:]]
        assert same == [True, False]

    def test_using_a_filter_again_costs_the_environments_penalty(self):
        """Nothing is learned here, so the episodes are the same with and without it."""
        still, told = replace(QUICK, iterations=1, learning_rate=0.0, critic_learning_rate=0.0), []
        for penalty in (0.0, 3.0):
            env = WhiteBoxEnv(DARK, size=SIZE, reuse_penalty=penalty)
            fit_white_box(env, still, look=lambda _, each, __: told.append(each))
        assert told[0]["reused"] == told[1]["reused"] > 0
        assert told[0]["return"] - told[1]["return"] == pytest.approx(3 * told[0]["reused"], abs=1e-4)

    @pytest.mark.parametrize("penalty, weight", [("overflow_penalty", 0.5), ("entropy_penalty", 0.05)])
    def test_other_penalties_are_what_the_return_lacks_to_the_gain(self, penalty, weight):
        """An agent that is rewarded for brightness exposes beyond 1, and soon always does the same."""
        missing = []
        for value in (0.0, weight):
            settings = {"iterations": 20, "batch_size": 16, "entropy_penalty": 0.0, "overflow_penalty": 0.0}
            told = []
            fit_white_box(WhiteBoxEnv(GOOD, brightness, size=SIZE, max_steps=2), replace(QUICK, **settings | {
                penalty: value}), look=lambda _, each, __, told=told: told.append(each))
            missing.append(max(each["gain"] - each["return"] for each in told))
        assert missing[0] < 1e-5 and missing[1] > 1e-3

    def test_the_choice_has_a_learning_rate_of_its_own(self):
        torch.manual_seed(QUICK.seed)
        start = WhiteBoxAgent(SIZE, QUICK.width)
        for rates, learned in (((0.0, 1e-3), "chooser"), ((1e-3, 0.0), "tuner"), ((1e-3, None), "chooser tuner")):
            config = replace(QUICK, iterations=2, batch_size=8, learning_rate=rates[0], choice_learning_rate=rates[1])
            agent = fit_white_box(WhiteBoxEnv(DARK, size=SIZE), config)
            changed = {name.split(".")[0] for (name, one), other in zip(
                agent.state_dict().items(), start.state_dict().values(), strict=True) if (one != other).any()}
            assert changed == set(learned.split())

    def test_the_agent_waits_while_it_warms_up(self):
        torch.manual_seed(QUICK.seed)
        start, agents = WhiteBoxAgent(SIZE, QUICK.width).state_dict(), []
        config = replace(QUICK, iterations=3, batch_size=4, warm_up=2)
        fit_white_box(WhiteBoxEnv(DARK, size=SIZE), config, look=lambda *told:
                      agents.append({name: weight.clone() for name, weight in told[2].state_dict().items()}))
        moved = [any((agent[name] != start[name]).any() for name in start) for agent in agents]
        assert moved == [False, False, True]

    def test_the_result_is_the_average_of_the_agents_on_the_way(self):
        """Of three agents from the start 0 on, the last counts half, the one before a quarter, the first an eighth."""
        biases = {}
        for averaging in (0.0, 0.5):
            told = biases.setdefault(averaging, [])
            fit_white_box(WhiteBoxEnv(DARK, size=SIZE), replace(QUICK, iterations=3, batch_size=4, averaging=averaging),
                          look=lambda *each, told=told: told.append(each[2].chooser.head.bias.detach().clone()))
        first, second, third = biases[0.0]
        assert first.any() and (first != second).any()
        torch.testing.assert_close(biases[0.5][-1], first / 8 + second / 4 + third / 2)

    def test_learning_rates_fall(self):
        """Adam's first steps are as long as the learning rate: by the second, a millionth is left of it."""
        agents = []
        fit_white_box(WhiteBoxEnv(DARK, size=SIZE, max_steps=1), replace(
            QUICK, iterations=2, batch_size=8, learning_rate_decay=1e-12), look=lambda *told:
            agents.append(told[2].tuner.head.weight.detach().clone()))
        first, second = agents[0].abs().max(), (agents[1] - agents[0]).abs().max()
        assert first == pytest.approx(QUICK.learning_rate, rel=0.05) and second < 1e-5 * first

    def test_a_discriminator_learns_beside_it(self):
        torch.manual_seed(0)
        reward = DiscriminatorReward(size=SIZE, width=8)
        before, env = reward(EXPERTS), WhiteBoxEnv(DARK, reward, size=SIZE, max_steps=2)
        trainer = DiscriminatorTrainer(reward, learning_rate=1e-3)
        fit_white_box(env, replace(QUICK, iterations=8, batch_size=8), trainer=trainer, experts=EXPERTS)
        after, dark = reward(EXPERTS), reward(np.stack([photo.image for photo in DARK]))
        assert np.abs(after - before).max() > 0 and after.mean() > dark.mean()


class TestBadInput:
    @pytest.mark.parametrize("name, value", [
        ("iterations", 0), ("batch_size", 0), ("n_critic", 0), ("gamma", 1.5), ("exploration", -0.1),
        ("averaging", 1.0), ("learning_rate_decay", 0.0), ("learning_rate_decay", 1.1),
    ])
    def test_settings_are_refused_by_name(self, name, value):
        with pytest.raises(ValueError, match=f"{name} must .*, not {value}"):
            WhiteBoxConfig(**{name: value})

    def test_a_reward_without_a_gradient_is_refused(self):
        with pytest.raises(ValueError, match="isn't differentiable"):
            fit_white_box(WhiteBoxEnv(DARK, lambda images: images.mean((1, 2, 3)), size=SIZE), QUICK)

    def test_a_trainer_needs_experts(self):
        with pytest.raises(ValueError, match="trainer and experts must be given together"):
            fit_white_box(WhiteBoxEnv(DARK, size=SIZE), QUICK, experts=EXPERTS)
