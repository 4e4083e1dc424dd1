"""The game: what the discriminator is shown, when, and how often."""

import numpy as np
import pytest
import torch
from stable_baselines3 import DDPG, PPO
from stable_baselines3.common.callbacks import BaseCallback, ConvertCallback
from stable_baselines3.common.logger import configure

from agents.rewards.experts import ExpertPhotos
from agents.training.curves import read_csv
from exposure_env.episode import select
from exposure_env.image import expose
from exposure_env.photos import Misexpose
from tests.rewards.games import EXPERTS, SIZE, Steps, agent, experts, flat, game, steps

pytestmark = pytest.mark.usefixtures("one_thread")


class TestGame:
    def test_warm_up_after_the_first_rollout_and_n_critic_after_the_others(self):
        env, trainer, callback = game(warm_up=7, n_critic=3, num_envs=8)
        counts = Steps(trainer)
        model = agent(env, n_batches=1, batch_size=8)
        model.learn(40, [callback, counts])
        rollouts = len(counts.counts) - 1
        assert rollouts >= 3 and model._n_updates == rollouts
        assert counts.counts == [0, *(7 + 3 * i for i in range(rollouts))]

    def test_warm_up_comes_before_the_first_update_and_is_no_less_than_n_critic(self):
        env, trainer, callback = game(warm_up=0, n_critic=4)
        model = agent(env)
        actor = [parameter.clone() for parameter in model.policy.parameters()]

        class Order(BaseCallback):
            def _on_step(self):
                return steps(trainer) == 0

            def _on_rollout_end(self):
                assert steps(trainer) == 4
                self.unchanged = all((a == b).all() for a, b in zip(actor, model.policy.parameters(), strict=True))

        order = Order()
        model.learn(1, [callback, order])
        assert order.unchanged and model._n_updates == 1
        assert any((a != b).any() for a, b in zip(actor, model.policy.parameters(), strict=True))

    def test_reward_is_the_network_that_learns(self):
        env, trainer, callback = game()
        image = EXPERTS[0].image[None, :SIZE, :SIZE].copy()
        before = env.task.reward_model(image)
        agent(env).learn(20, callback)
        assert env.task.reward_model.network is trainer.network and env.task.reward_model(image) != before

    def test_fakes_are_fresh_pooled_and_misexposed(self):
        source = ExpertPhotos([flat(0.4)], SIZE, Misexpose((1.0, 1.0), local=0.0))
        _, _, callback = game(source=source, batch_size=8, pooled=0.25, misexposed=0.5)
        callback.pool = np.full((5, SIZE, SIZE, 3), 0.75, np.float32)
        fakes = callback._fakes(np.full((3, SIZE, SIZE, 3), 0.25, np.float32))
        expected = float(expose(np.array([[[0.4]]]), 1.0)[0, 0, 0])
        assert fakes.shape == (8, SIZE, SIZE, 3) and fakes.dtype == np.float32
        np.testing.assert_allclose(np.sort(fakes[:, 0, 0, 0]), [0.25] * 2 + [expected] * 4 + [0.75] * 2, atol=0.003)

    @pytest.mark.parametrize("reward_image", ["fused", "local", "both"])
    def test_fakes_are_the_images_of_the_kind_that_is_rewarded(self, reward_image):
        def halves(image):
            return np.arange(SIZE)[:, None] * 2 // SIZE * np.ones((1, SIZE), int)

        env, trainer, callback = game([flat(0.3), flat(0.5)], reward_image=reward_image, segmenter=halves, pooled=0.0,
                                      warm_up=20)  # fmt: skip
        shown = {"local": [], "fused": []}

        def note(local, other):
            if env.finished is not None:
                shown["local"] += list(env.task.local(env.finished.state))
                shown["fused"] += list(env.finished.image)
            return True

        agent(env, n_batches=1).learn(1, [callback, ConvertCallback(note)])
        local, fused = (np.stack(shown[kind]) for kind in ("local", "fused"))
        assert np.abs(local - fused).max(axis=(1, 2, 3)).min() > 1e-4  # they can be told apart

        def found(fake, images):
            return any((fake == image).all() or (fake == image[:, ::-1]).all() for image in images)

        fakes = np.concatenate(trainer.fake)
        kinds = [(found(fake, local), found(fake, fused)) for fake in fakes]
        expected = {"local": {(True, False)}, "fused": {(False, True)}, "both": {(True, False), (False, True)}}
        assert set(kinds) == expected[reward_image]

    def test_the_pool_is_bounded_and_holds_the_latest(self):
        env, trainer, callback = game(pool_size=10, num_envs=8, max_segments=1)
        latest = []

        def note(local, other):
            latest.extend(env.finished.image)
            return True

        sizes = []
        for _ in range(3):
            agent(env, n_batches=2, batch_size=8).learn(16, [callback, ConvertCallback(note)])
            sizes.append(len(callback.pool))
        np.testing.assert_array_equal(callback.pool, latest[-10:])
        assert sizes == [10, 10, 10]

    def test_real_images_are_experts(self):
        env, trainer, callback = game(source=experts([flat(0.3), flat(0.6)]), batch_size=5)
        agent(env).learn(20, callback)
        real = np.concatenate(trainer.real)
        assert {len(batch) for batch in trainer.real} == {5} and np.unique(real.round(4)).tolist() == pytest.approx(
            [0.3, 0.6], abs=1e-4
        )

    def test_learning_rate_decays_with_the_progress(self):
        env, trainer, callback = game([flat(0.3)], trainer_options={"learning_rate": lambda left: 1e-3 * left},
                                      max_segments=1, warm_up=1, n_critic=1)  # fmt: skip
        agent(env).learn(32, callback)
        assert len(trainer.rates) == 4 and trainer.rates[0] == pytest.approx(1e-3)
        assert trainer.rates == sorted(trainer.rates, reverse=True) and trainer.rates[-1] < 0.5e-3

    def test_logs_the_last_step(self, tmp_path):
        env, trainer, callback = game()
        model = agent(env)
        model.set_logger(configure(str(tmp_path), ["csv"]))
        model.learn(20, callback)
        log = read_csv((tmp_path / "progress.csv").read_text())
        for name in ("loss", "real", "fake", "slope", "penalty"):
            assert np.isfinite(log[f"discriminator/{name}"]).all()

    @pytest.mark.parametrize("fractions", [(0.6, 0.5, 0.0), (-0.1, 0.5, 0.0), (0.5, -0.1, 0.0), (1.1, 0.0, 0.0),
                                           (0.5, 0.3, 0.3), (0.5, 0.3, -0.1)])  # fmt: skip
    def test_fractions_that_make_no_sense(self, fractions):
        with pytest.raises(ValueError, match="fractions.*{}, {} and {}".format(*fractions)):
            game(pooled=fractions[0], misexposed=fractions[1], unfinished=fractions[2])

    @pytest.mark.parametrize("numbers", [{"n_critic": 0}, {"batch_size": 0}, {"pool_size": 0}], ids=str)
    def test_numbers_that_make_no_sense(self, numbers):
        with pytest.raises(ValueError, match=f"{next(iter(numbers))}.*at least 1.*0"):
            game(**numbers)

    @pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 7])
    @pytest.mark.parametrize("pooled, misexposed, unfinished", [
        (0.5, 0.5, 0.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.3, 0.3, 0.0), (0.3, 0.3, 0.4), (0.5, 0.0, 0.5),
        (0.0, 0.0, 1.0),
    ])  # fmt: skip
    def test_parts_always_add_up_to_the_batch(self, batch_size, pooled, misexposed, unfinished):
        _, _, callback = game(batch_size=batch_size, pooled=pooled, misexposed=misexposed, unfinished=unfinished)
        callback.pool = np.zeros((4, SIZE, SIZE, 3), np.float32)
        for images in (callback.pool, callback.pool[:0]):  # where all photos are of one segment, none is unfinished
            assert len(callback._fakes(callback.pool, images)) == batch_size

    @pytest.mark.parametrize("reward_image", ["fused", "local", "both"])
    def test_unfinished_fakes_are_images_so_far_of_the_kind_that_is_rewarded(self, reward_image):
        def thirds(image):
            return np.arange(SIZE)[:, None] * 3 // SIZE * np.ones((1, SIZE), int)

        env, trainer, callback = game([flat(0.3), flat(0.5)], reward_image=reward_image, segmenter=thirds, pooled=0.0,
                                      max_segments=3, unfinished=0.5, batch_size=8, warm_up=20)  # fmt: skip
        shown = {(kind, over): [] for kind in ("local", "fused") for over in (True, False)}

        def note(local, other):
            state, task = env.envs.state, env.task
            begun = select(state, state.step > 0)
            if len(begun.step):
                shown["local", False].extend(task.local(begun))
                shown["fused", False].extend(task.fused(begun))
            if env.finished is not None:
                shown["local", True].extend(task.local(env.finished.state))
                shown["fused", True].extend(env.finished.image)
            return True

        agent(env, n_batches=1).learn(1, [callback, ConvertCallback(note)])

        def kinds(fake):
            return {kind for kind, images in shown.items()
                    if any((fake == image).all() or (fake == image[:, ::-1]).all() for image in images)}

        assert min(len(images) for images in shown.values()) >= 4
        rewarded = {"fused": ["fused"], "local": ["local"], "both": ["fused", "local"]}[reward_image]
        found = [kinds(fake) for fake in np.concatenate(trainer.fake)]
        assert len(found) == 8 * 20 and {frozenset(kind) for kind in found} == {
            frozenset({(kind, over)}) for kind in rewarded for over in (True, False)
        }
        for i in range(20):  # of the eight fakes of a step, four each
            assert sum(over for fake in found[8 * i : 8 * i + 8] for _, over in fake) == 4

    def test_without_unfinished_fakes_no_random_number_is_drawn_for_them(self):
        env, _, callback = game(unfinished=0.0)
        callback.init_callback(agent(env))
        before = callback.rng.bit_generator.state
        env.reset()
        for _ in range(3):
            env.step(np.zeros((4, 1), np.float32))
            callback.on_step()
        assert callback.unfinished == [] and callback.rng.bit_generator.state == before

    def test_a_rate_never_falls_below_zero_though_the_last_rollout_goes_beyond_the_end(self):
        env, trainer, callback = game([flat(0.3)], trainer_options={"learning_rate": lambda left: 1e-3 * left},
                                      max_segments=1, warm_up=1, n_critic=1)  # fmt: skip
        model = DDPG("MlpPolicy", env, train_freq=4, learning_starts=0, gradient_steps=0, buffer_size=64,
                     policy_kwargs={"net_arch": [8]}, device="cpu")  # fmt: skip
        model.learn(40, callback)  # rollouts of 16 steps: 1 - 48 / 40 would be left
        assert trainer.rates == pytest.approx([0.6e-3, 0.2e-3, 0])

    def test_same_seed_same_discriminator(self):
        trained = []
        for seed in (0, 0, 1):
            torch.manual_seed(3)
            env, trainer, callback = game(source=experts(seed=seed), seed=seed, misexposed=0.25)
            agent(env).learn(30, callback)
            trained.append(torch.nn.utils.parameters_to_vector(trainer.network.parameters()).detach())
        assert (trained[0] == trained[1]).all() and (trained[0] != trained[2]).any()

    def test_ppo_plays_it_too(self):
        env, trainer, callback = game(warm_up=5, n_critic=2, num_envs=4)
        # SB3's own network wants images of 36 px or more, so PPO looks at plain numbers.
        model = PPO("MlpPolicy", env, n_steps=8, batch_size=32, n_epochs=1, policy_kwargs={"net_arch": [8]},
                    device="cpu")  # fmt: skip
        model.learn(96, callback)
        assert steps(trainer) == 5 + 2 + 2

    def test_a_rollout_in_which_no_episode_ends_is_left_out(self):
        env, trainer, callback = game(segmenter=lambda image: np.arange(SIZE)[:, None] // 2 * np.ones((1, SIZE), int),
                                      max_segments=8, warm_up=3, n_critic=2)  # fmt: skip
        model = PPO("MlpPolicy", env, n_steps=4, batch_size=16, n_epochs=1, policy_kwargs={"net_arch": [8]},
                    device="cpu")  # fmt: skip
        counts = Steps(trainer)
        model.learn(64, [callback, counts])  # episodes of eight steps end in every other rollout
        assert counts.counts == [0, 0, 3, 3, 5]
