import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise, VectorizedActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from agents.deep_exposure import DeepExposure
from agents.deep_exposure.gradients import GRADIENTS
from agents.policy import ExposurePolicy
from agents.rewards.discriminator import DiscriminatorReward
from agents.vec_env import ExposureVecEnv
from exposure_env.episode import EpisodeState, advance, concatenate, observe, select, start, visited
from exposure_env.photos import Photo
from exposure_env.vector import ExposureVectorEnv

LOCAL = "exposure_env:Exposure/Local-v0"
SIZE, LN2 = 16, float(np.log(2))

pytestmark = pytest.mark.usefixtures("one_thread")


class Brightness:
    """Mean value of the image."""

    differentiable = True

    def __call__(self, images, **context):
        return images.mean((1, 2, 3))


class Indifferent:
    """Zero, whatever the image."""

    differentiable = True

    def __call__(self, images, **context):
        return images.mean((1, 2, 3)) * 0


def stripes(image):
    """As many horizontal stripes as the first value says: 1 at 0, 2 at 0.1, 3 at 0.2, ... Heights differ by a pixel."""
    num = 1 + round(float(image[0, 0, 0]) * 10)
    return np.arange(SIZE)[:, None] * num // SIZE * np.ones((1, SIZE), int)


def halves(image):
    """The upper half, then the lower."""
    return np.arange(SIZE)[:, None] * 2 // SIZE * np.ones((1, SIZE), int)


def textured(num_segments, seed=0, target=False):
    """A photo that `stripes` cuts into as many segments."""
    image = np.random.default_rng(seed).uniform(0.05, 0.45, (SIZE, SIZE, 3)).astype(np.float32)
    image[0, 0, 0] = (num_segments - 1) / 10
    return Photo(f"{num_segments} stripes", image, np.sqrt(image) if target else None)


def grey(value, target=None):
    full = [None if v is None else np.full((SIZE, SIZE, 3), v, np.float32) for v in (value, target)]
    return Photo("grey", *full)


VARYING = [textured(1, 1), textured(3, 2), textured(2, 3), textured(5, 4)]


def vec_env(photos=VARYING, segmenter=stripes, reward_model=None, num_envs=4, **settings):
    settings = {"size": SIZE, "max_segments": 5, "fusion": "local", "obs_type": "float32", **settings}
    return ExposureVecEnv(num_envs=num_envs, photos=photos, segmenter=segmenter,
                          reward_model=reward_model or Brightness(), **settings)  # fmt: skip


def agent(env=None, lively=False, policy="CnnPolicy", width=4, **options):
    """A small agent; a lively one does not start out with the untouched photo."""
    options = {"n_batches": 2, "batch_size": 4, "seed": 0, "device": "cpu", **options}
    model = DeepExposure(policy, env or vec_env(), policy_kwargs={"width": width}, **options)
    if lively:
        torch.nn.init.normal_(model.policy.actor.stack.head.weight, std=0.5)
        torch.nn.init.constant_(model.policy.actor.stack.head.bias, 0.1)
    return model


def play(env, episodes, rng=None):
    """Finished episodes of random actions, as a NumPy state."""
    rng = rng or np.random.default_rng(0)
    env.seed(0)
    env.reset()
    outcomes, count = [], 0
    while count < episodes:
        env.step(rng.uniform(-0.4, 0.4, (env.num_envs, 1)).astype(np.float32))
        if env.finished is not None:
            outcomes.append(env.finished.state)
            count += len(env.finished.score)
    return select(concatenate(outcomes), np.arange(episodes))


def doubled(state, as_torch=True):
    """In double precision, so that gradients can be compared closely."""
    columns = [None if a is None else np.asarray(a, np.float64) if a.dtype.kind == "f" else a for a in state]
    return EpisodeState(*(None if a is None else torch.as_tensor(a) if as_torch else a for a in columns))


def judged(settings, **options):
    """A lively agent of double precision under a discriminator, and five finished episodes."""
    judge = DiscriminatorReward(size=SIZE, width=4)
    judge.network.double()
    model = agent(vec_env(reward_model=judge, **settings), lively=True, gamma=0.9, **options)
    model.policy.double()
    return model, doubled(play(vec_env(**settings), 5))


def train(model, finished):
    """One update, outside of learn()."""
    model.set_logger(Logger(None, []))
    model.train(finished)


def gradient(model):
    """All gradients of the actor in one row; 0 where there is none."""
    pairs = [(p, p.grad) for p in model.policy.actor.parameters()]
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for p, g in pairs]).numpy()


def weights(model):
    return torch.nn.utils.parameters_to_vector(model.policy.actor.parameters()).detach().numpy().copy()


def assert_same_gradient(one, other):
    assert np.abs(one).max() > 1e-3  # there is something to compare
    np.testing.assert_allclose(one, other, atol=1e-6 * max(np.abs(one).max(), 1))


class TestVisited:
    def test_lists_the_states_that_the_episodes_went_through(self):
        env = vec_env()
        env.seed(0)
        env.reset()
        rng, path = np.random.default_rng(0), [[] for _ in range(4)]
        lengths = set()
        for _ in range(14):
            before = EpisodeState(*(None if a is None else a.copy() for a in env.envs.state))
            for i in range(4):
                path[i].append(select(before, [i]))
            *_, dones, _ = env.step(rng.uniform(-1, 1, (4, 1)).astype(np.float32))
            if not dones.any():
                continue
            expected = concatenate([state for i in np.flatnonzero(dones) for state in path[i]])
            finished = env.finished.state
            found = visited(EpisodeState(*(None if a is None else torch.as_tensor(a) for a in finished)))[1]
            for name, ours, theirs in zip(EpisodeState._fields, found, expected, strict=True):
                if theirs is not None:
                    np.testing.assert_array_equal(ours, theirs, err_msg=name)
            lengths |= set(finished.num_segments.tolist())
            for i in np.flatnonzero(dones):
                path[i] = []
        assert lengths == {1, 2, 3, 5}

    def test_by_hand(self):
        photos, labels = torch.zeros(2, 4, 4, 3), torch.zeros(2, 4, 4, dtype=torch.int32)
        labels[0, 1], labels[0, 2], labels[1, 3] = 1, 2, 1
        finished = start(photos, labels, 3)
        finished = finished._replace(evs=torch.tensor([[1.0, 2, 3], [4, 5, 0]]), step=torch.tensor([3, 2]))
        states = visited(finished)[1]
        assert states.step.tolist() == [0, 1, 2, 0, 1] and states.num_segments.tolist() == [3, 3, 3, 2, 2]
        assert states.evs.tolist() == [[0, 0, 0], [1, 0, 0], [1, 2, 0], [0, 0, 0], [4, 0, 0]]


class TestGradient:
    """Against loops over episodes and steps, one at a time."""

    settings = pytest.mark.parametrize(
        "settings",
        [{}, {"fusion": "mask_pyramid"}, {"fusion": "mertens", "reward_image": "both", "planes": "paper"}],
        ids=["local", "mask pyramid", "mertens and local"],
    )

    def path(self, model, finished, n):
        """States of one episode, before each of its actions."""
        task = model.exposure_env.task
        episode = select(finished, [n])
        state = start(episode.photos, episode.labels, 5)
        for t in range(int(episode.num_segments)):
            planes = observe(state, task.local(state), task.config.planes).permute(0, 3, 1, 2)
            yield t, state, model.policy.actor(planes)[:, 0] * task.config.max_ev
            state = advance(state, episode.evs[:, t])

    @settings
    def test_next(self, settings):
        model, finished = judged(settings, value_image="next")
        loss, _ = GRADIENTS[model.method.value](model, finished)
        loss.backward()
        ours = gradient(model)
        model.policy.optimizer.zero_grad()
        total = 0
        for n in range(5):
            length = int(finished.num_segments[n])
            for t, state, ev in self.path(model, finished, n):
                score = model.exposure_env.task.score(advance(state, ev))
                total = total + 0.9 ** (length - 1 - t) * score.sum()
        (-total).backward()
        assert loss.item() == pytest.approx(-total.item(), abs=1e-6)
        assert_same_gradient(ours, gradient(model))

    @settings
    def test_final(self, settings):
        model, finished = judged(settings, value_image="final")
        GRADIENTS[model.method.value](model, finished)[0].backward()
        ours = gradient(model)
        model.policy.optimizer.zero_grad()
        for n in range(5):
            length = int(finished.num_segments[n])
            evs = torch.cat([ev for *_, ev in self.path(model, finished, n)])
            for t in range(length):  # the score of the finished image, with all exposures but one held
                state = start(finished.photos[n : n + 1], finished.labels[n : n + 1], 5)
                for u in range(length):
                    state = advance(state, evs[u : u + 1] if u == t else evs[u : u + 1].detach())
                score = model.exposure_env.task.score(state).sum()
                (-(0.9 ** (length - 1 - t)) * score).backward(retain_graph=True)
        assert_same_gradient(ours, gradient(model))

    @pytest.mark.parametrize("value_image", ["next", "final"])
    def test_by_hand_averaged_over_the_true_number_of_transitions(self, value_image):
        # A first value of 0.1 (k-1) makes k stripes. In a photo of one value c, exposing a share s of it by EV changes
        # the mean at EV 0 by c s ln 2 per stop; the actor's slope at 0 is 1 for its bias, times max_ev = 2 stops.
        photos = [grey(0.1), grey(0.2), grey(0.4)]
        model = agent(vec_env(photos, space="encoded", max_ev=2.0, num_envs=3), gamma=0.5, value_image=value_image)
        state = start(*(np.stack(x) for x in ([p.image for p in photos], [stripes(p.image) for p in photos])), 5)
        train(model, state._replace(step=state.num_segments))
        assert state.num_segments.tolist() == [2, 3, 5]
        rows = {2: [8, 8], 3: [6, 5, 5], 5: [4, 3, 3, 3, 3]}
        total = sum(
            c * rows[k][t] / 16 * 0.5 ** (k - 1 - t) for c, k in ((0.1, 2), (0.2, 3), (0.4, 5)) for t in range(k)
        )
        bias = model.policy.actor.stack.head.bias.grad.item()
        assert bias == pytest.approx(-total * LN2 * 2 / (2 + 3 + 5), rel=1e-5)

    @pytest.mark.parametrize("value_image", ["next", "final"])
    def test_eight_mini_batches_are_one_large_batch(self, value_image):
        finished = doubled(play(vec_env(), 16), as_torch=False)
        assert len(set(finished.num_segments.tolist())) > 2
        gradients = []
        for n_batches, batch_size in ((8, 2), (1, 16)):
            model = agent(n_batches=n_batches, batch_size=batch_size, value_image=value_image)
            torch.manual_seed(5)
            torch.nn.init.normal_(model.policy.actor.stack.head.weight, std=0.5)
            model.policy.double()
            train(model, finished)
            gradients.append(gradient(model))
        assert_same_gradient(*gradients)

    @pytest.mark.parametrize("obs_type", ["uint8", "float32", "dict"])
    def test_the_actions_are_those_that_it_takes_while_it_plays(self, obs_type):
        env = vec_env(obs_type=obs_type, fusion="mask_pyramid")
        model = agent(env, lively=True, policy="MultiInputPolicy" if obs_type == "dict" else "CnnPolicy",
                      action_noise=None)  # fmt: skip
        finished, played = self.rollout(model)
        finished = EpisodeState(*(None if a is None else torch.as_tensor(a) for a in finished))
        _, actions = GRADIENTS[model.method.value](model, finished)
        assert actions.std() > 0.01
        np.testing.assert_allclose(actions, played, atol=2e-6)

    def rollout(self, model):
        """Finished episodes and the actions taken in them, episode by episode."""
        env = model.env
        observation = env.reset()
        states, actions, running = [], [], [[] for _ in range(env.num_envs)]
        while len(states) < 6:
            action, _ = model.predict(observation)
            observation, _, dones, _ = env.step(action)
            for i, a in enumerate(action[:, 0]):
                running[i].append(a)
            if dones.any():
                states.append(model.exposure_env.finished.state)
                for i in np.flatnonzero(dones):
                    actions += running[i]
                    running[i] = []
        return concatenate(states), np.array(actions)


class TestAdvantage:
    @pytest.mark.parametrize("value_image", ["next", "final"])
    @pytest.mark.parametrize("advantage, sign", [("potential", 1), ("paper_abs", 1), ("paper_literal", -1)])
    def test_one_step_raises_the_score_but_not_with_the_printed_sign(self, advantage, sign, value_image):
        model = agent(advantage=advantage, value_image=value_image, learning_rate=1e-3)
        finished = play(vec_env(), 8)
        evaluation = vec_env()
        before, _ = evaluate_policy(model, evaluation, 8, warn=False)
        train(model, finished)
        after, _ = evaluate_policy(model, evaluation, 8, warn=False)
        assert before == pytest.approx(0, abs=1e-6) and sign * after > 1e-4

    def test_sizes_are_those_of_the_factors(self):
        finished, gradients = play(vec_env(), 6), {}
        for advantage in ("potential", "paper_abs", "paper_literal"):
            model = agent(advantage=advantage, gamma=0.9)
            train(model, finished)
            gradients[advantage] = gradient(model)
        assert np.abs(gradients["potential"]).max() > 1e-3
        np.testing.assert_allclose(gradients["paper_abs"], 0.1 * gradients["potential"], atol=1e-7)
        np.testing.assert_array_equal(gradients["paper_literal"], -gradients["paper_abs"])

    @pytest.mark.parametrize("gamma", [1.0, 0.9])
    def test_discounted_advantages_telescope(self, gamma):
        # Section 7.1: with A_t = gamma^(K-1-t) [D(S_t+1) - D(S_t)], sum gamma^t A_t = gamma^(K-1) [D(S_K) - D(S_0)].
        judge = DiscriminatorReward(size=SIZE, width=4)
        judge.network.double()
        model = agent(vec_env(reward_model=judge, fusion="mask_pyramid"), gamma=gamma)
        finished, task = doubled(play(vec_env(), 6)), model.exposure_env.task
        with torch.no_grad():
            before, steps = task.score(visited(finished)[1]), visited(finished)[1].step
            evs = torch.cat([finished.evs[n, :k] for n, k in enumerate(finished.num_segments)])
            after = task.score(advance(visited(finished)[1], evs))
            gain = task.score(finished) - judge(finished.photos)
        episodes = torch.repeat_interleave(torch.arange(6), finished.num_segments)
        lengths = finished.num_segments[episodes]
        shaped = gamma**steps * gamma ** (lengths - 1 - steps) * (after - before)
        sums = torch.zeros(6, dtype=torch.float64).index_add(0, episodes, shaped)
        assert gain.abs().min() > 1e-6
        np.testing.assert_allclose(sums, gamma ** (finished.num_segments - 1) * gain, atol=1e-9)

    def test_undiscounted_loss_is_minus_the_return_up_to_what_no_action_changes(self):
        env = vec_env()
        model = agent(env, lively=True, gamma=1.0, value_image="next", action_noise=None)
        finished, _ = TestGradient().rollout(model)
        finished = EpisodeState(*(None if a is None else torch.as_tensor(a) for a in finished))
        loss, _ = GRADIENTS[model.method.value](model, finished)
        task = model.exposure_env.task
        gain = task.score(finished).sum() - Brightness()(finished.photos).sum()
        assert abs(gain) > 0.01
        assert -loss.item() - task.score(visited(finished)[1]).sum().item() == pytest.approx(gain.item(), abs=1e-4)


class TestLimits:
    def half(self, **options):
        """Model and finished episodes of one grey photo in two halves; a stop at EV 0 changes the mean by ln 2 / 10."""
        env = vec_env([grey(0.2)], halves, options.pop("reward_model", None), space="encoded", max_ev=2.0)
        model = agent(env, gamma=0.5, **options)
        state = start(np.full((4, SIZE, SIZE, 3), 0.2, np.float32), np.stack([halves(None)] * 4), 5)
        return model, state._replace(step=state.num_segments)

    @pytest.mark.parametrize("value_image", ["next", "final"])
    @pytest.mark.parametrize("max_slope", [0.05, 0.01, 1.0, None])
    def test_slope_of_each_transition_is_clipped(self, max_slope, value_image):
        model, finished = self.half(max_slope=max_slope, value_image=value_image)
        slopes = [0.5 * 0.1 * LN2, 0.1 * LN2]  # 0.035 and 0.069 per stop, discounted
        clipped = [min(slope, max_slope or np.inf) for slope in slopes]
        train(model, finished)
        assert model.policy.actor.stack.head.bias.grad.item() == pytest.approx(-np.mean(clipped) * 2, rel=1e-5)

    @pytest.mark.parametrize("value_image", ["next", "final"])
    @pytest.mark.parametrize("max_slope", [None, 0.01])  # limits the slope of the score, not the penalty's
    def test_ev_penalty(self, value_image, max_slope):
        model, finished = self.half(ev_penalty=0.3, max_slope=max_slope, reward_model=Indifferent(),
                                    value_image=value_image)  # fmt: skip
        torch.nn.init.constant_(model.policy.actor.stack.head.bias, 0.5)
        train(model, finished)
        action = np.tanh(0.5)  # EV = 2 a, so d (0.3 EV^2) / d bias = 0.6 * 2 a * 2 (1 - a^2)
        expected = 0.6 * 2 * action * 2 * (1 - action**2)
        assert model.policy.actor.stack.head.bias.grad.item() == pytest.approx(expected, rel=1e-5)

    def test_psnr_at_a_perfect_match_has_a_slope_that_is_limited(self):
        env = vec_env([grey(0.2, 0.2)], halves, "psnr")
        model = agent(env, max_slope=5.0, learning_rate=1e-3)
        model.learn(64)
        assert np.isfinite(weights(model)).all()


class Actions(BaseCallback):
    """Notes the actions and ends of every step."""

    def __init__(self):
        super().__init__()
        self.actions, self.dones = [], []

    def _on_step(self):
        self.actions.append(self.locals["actions"][:, 0].copy())
        self.dones.append(self.locals["dones"].copy())
        return True


class TestNoise:
    def test_standard_deviation_after_some_steps_from_zero(self):
        np.random.seed(0)
        noise = VectorizedActionNoise(agent().action_noise, 4000)
        deviations = [noise().std() for _ in range(20)]
        # variance after n steps: sigma^2 (1 - r^2n) / (1 - r^2) with r = 1 - theta
        assert [deviations[n - 1] for n in (1, 5, 10, 20)] == pytest.approx([0.03, 0.065, 0.089, 0.117], rel=0.04)

    @pytest.mark.parametrize("reset_noise", [True, False])
    def test_added_to_the_actions_and_begun_anew_with_an_episode_or_not(self, reset_noise):
        noted = Actions()
        env = vec_env([textured(5)], num_envs=64, reward_model=Indifferent())  # its actor stays at 0: all is noise
        model = agent(env, n_batches=8, batch_size=64, reset_noise=reset_noise)
        model.learn(8 * 64 * 5, noted)
        assert (np.array(noted.dones).sum(1) > 0).tolist() == ([False] * 4 + [True]) * 8
        noise = np.array(noted.actions)
        begun = np.arange(5, 40, 5)
        afresh = noise[begun].std() / 0.03
        continued = (noise[begun] - 0.985 * noise[begun - 1]).std() / 0.03
        within = (noise[begun + 1] - 0.985 * noise[begun]).std() / 0.03
        assert within == pytest.approx(1, rel=0.1)
        assert (afresh if reset_noise else continued) == pytest.approx(1, rel=0.1)
        assert (continued if reset_noise else afresh) > 1.8

    def test_begins_anew_with_the_episodes_of_another_training(self):
        model = agent(vec_env([textured(5)], num_envs=64, reward_model=Indifferent()), n_batches=8)
        model.learn(1000, lambda local, other: model.num_timesteps < 4 * 64)  # stopped in the middle of the episodes
        noted = Actions()
        model.learn(1, noted)
        assert noted.actions[0].std() == pytest.approx(0.03, rel=0.25)

    def test_none(self):
        noted = Actions()
        agent(vec_env(reward_model=Indifferent()), action_noise=None).learn(16, noted)
        assert (np.concatenate(noted.actions) == 0).all()

    def test_any_of_sb3s_and_the_actions_stay_in_bounds(self):
        noted = Actions()
        noise = NormalActionNoise(np.zeros(1), np.full(1, 3.0))
        agent(vec_env(reward_model=Indifferent()), action_noise=noise).learn(40, noted)
        actions = np.concatenate(noted.actions)
        assert actions.min() == -1 and actions.max() == 1 and actions.dtype == np.float32


class TestLearning:
    @pytest.mark.parametrize("value_image", ["next", "final"])
    def test_photos_a_stop_too_dark_are_restored(self, value_image):
        env = vec_env([grey(0.2, 0.4), grey(0.25, 0.5)], halves, "negative_mse", space="encoded", max_ev=2.0,
                      num_envs=8)
        model = agent(env, learning_rate=3e-3, n_batches=2, batch_size=8, value_image=value_image)
        before, _ = evaluate_policy(model, env, 8, warn=False)
        model.learn(20 * 16 * 2)
        after, _ = evaluate_policy(model, env, 8, warn=False)
        assert model._n_updates == 20 and before == pytest.approx(0, abs=1e-6)
        assert after > 0.9 * (0.2**2 + 0.25**2) / 2  # of the error that there was

    def test_same_seed_same_weights(self):
        trained = []
        for seed in (0, 0, 1):
            model = agent(vec_env(obs_type="uint8"), seed=seed, learning_rate=1e-3)
            model.learn(80)
            trained.append(weights(model))
        np.testing.assert_array_equal(trained[0], trained[1])
        assert (trained[0] != trained[2]).any()

    @pytest.mark.parametrize("obs_type, policy", [("uint8", "CnnPolicy"), ("float32", "CnnPolicy"),
                                                  ("dict", "MultiInputPolicy")])  # fmt: skip
    @pytest.mark.parametrize("planes", ["paper", "full"])
    def test_observations_of_all_types(self, obs_type, policy, planes):
        model = agent(vec_env(obs_type=obs_type, planes=planes), policy=policy, learning_rate=1e-3)
        before = weights(model)
        model.learn(30)
        assert (weights(model) != before).any() and np.isfinite(weights(model)).all()

    def test_progress_changes_the_learning_rate(self):
        model = agent(vec_env([textured(2)]), learning_rate=lambda remaining: 1e-3 * remaining)
        model.learn(64)
        assert model.policy.optimizer.param_groups[0]["lr"] == 0
        model.learn(20)  # overshoots: 32 exposures are played
        assert model.policy.optimizer.param_groups[0]["lr"] == 0

    def test_a_score_that_is_not_finite_is_an_error(self):
        class Astray(Brightness):
            def __call__(self, images, **context):
                return super().__call__(images) + float("nan")

        with pytest.raises(ValueError, match="not finite"):
            agent(vec_env(reward_model=Astray())).learn(16)


class TestHabits:
    def test_save_and_load_go_on_where_they_were(self, tmp_path):
        model = agent(vec_env(obs_type="uint8"), learning_rate=1e-3, gamma=0.7, value_image="next")
        model.learn(40)
        model.save(tmp_path / "model")
        loaded = DeepExposure.load(tmp_path / "model", env=vec_env(obs_type="uint8"), device="cpu")
        np.testing.assert_array_equal(weights(loaded), weights(model))
        observation = vec_env(obs_type="uint8").reset()
        np.testing.assert_array_equal(loaded.predict(observation)[0], model.predict(observation)[0])
        assert loaded.method == model.method and (model.method.gamma, model.method.value_image) == (0.7, "next")
        assert loaded.num_timesteps == model.num_timesteps
        one, other = (m.policy.optimizer.state_dict()["state"] for m in (model, loaded))
        assert one.keys() == other.keys() and len(one) > 0
        assert all((one[i]["exp_avg"] == other[i]["exp_avg"]).all() for i in one)
        loaded.learn(40, reset_num_timesteps=False)
        assert loaded.num_timesteps >= model.num_timesteps + 40
        assert (weights(loaded) != weights(model)).any()

    def test_load_without_an_environment_predicts_and_says_what_is_missing_to_learn(self, tmp_path):
        agent().save(tmp_path / "model")
        model = DeepExposure.load(tmp_path / "model", device="cpu")
        assert model.predict(vec_env().reset())[0].shape == (4, 1)
        with pytest.raises(ValueError, match="no environment"):
            model.learn(10)
        model.set_env(vec_env())
        model.learn(10)
        assert model.num_timesteps >= 10

    def test_parameters_are_read_and_set(self):
        one, other = agent(lively=True), agent()
        assert set(one.get_parameters()) == {"policy", "policy.optimizer"}
        other.set_parameters(one.get_parameters())
        np.testing.assert_array_equal(weights(one), weights(other))

    def test_learning_goes_on(self):
        model = agent()
        assert model.learn(20) is model
        steps = model.num_timesteps
        model.learn(20, reset_num_timesteps=False)
        assert steps >= 20 and model.num_timesteps >= steps + 20
        model.learn(20)
        assert 20 <= model.num_timesteps < steps + 20

    def test_whole_updates(self):
        model = agent(vec_env([textured(2)]), n_batches=3, batch_size=4)
        model.learn(25)  # an update takes 12 episodes of 2 steps
        assert model.num_timesteps == 48 and model._n_updates == 2

    def test_callbacks(self, tmp_path):
        evaluation = EvalCallback(vec_env(), n_eval_episodes=4, eval_freq=4, warn=False, verbose=0,
                                  best_model_save_path=str(tmp_path))  # fmt: skip
        agent().learn(40, [CheckpointCallback(4, str(tmp_path), "step"), evaluation])
        assert len(list(tmp_path.glob("step_*_steps.zip"))) >= 2 and (tmp_path / "best_model.zip").exists()
        assert np.isfinite(evaluation.last_mean_reward)

    def test_a_callback_stops_it(self):
        model = agent()
        model.learn(1000, lambda local, other: model.num_timesteps < 8)
        assert model.num_timesteps == 8 and model._n_updates == 0

    def test_rollouts_begin_and_end_around_the_steps(self):
        class Order(BaseCallback):
            events: list[str] = []

            def _on_training_start(self):
                self.events.append("training start")

            def _on_rollout_start(self):
                self.events.append("rollout start")

            def _on_step(self):
                self.events.append("step")
                return True

            def _on_rollout_end(self):
                self.events.append("rollout end")

            def _on_training_end(self):
                self.events.append("training end")

        callback = Order()
        agent(vec_env([textured(2)]), n_batches=1).learn(9, callback)
        rollout = ["rollout start", "step", "step", "rollout end"]
        assert callback.events == ["training start", *rollout, *rollout, "training end"]

    @pytest.mark.filterwarnings("ignore:rich is experimental")
    def test_progress_bar(self, capsys):
        agent().learn(20, progress_bar=True)
        assert "it/s" in "".join(capsys.readouterr())

    def test_log(self, tmp_path, capsys):
        model = agent(vec_env([textured(2)]), verbose=1, tensorboard_log=str(tmp_path))
        model.learn(32)
        printed = capsys.readouterr().out
        for name in ("ep_rew_mean", "ep_len_mean", "fps", "iterations", "total_timesteps", "time_elapsed",
                     "learning_rate", "n_updates", "actor_loss", "ev_mean", "ev_std", "saturated"):  # fmt: skip
            assert name in printed
        assert list(tmp_path.glob("DeepExposure_1/events*"))

    def test_log_interval(self, capsys):
        agent(vec_env([textured(2)]), verbose=1).learn(64, log_interval=3)
        assert capsys.readouterr().out.count("actor_loss") == 1  # four updates

    def test_logged_exposures_are_in_stops(self):
        model = agent(vec_env(max_ev=2.0))
        torch.nn.init.constant_(model.policy.actor.stack.head.bias, 0.5)
        train(model, play(vec_env(), 4))
        values = model.logger.name_to_value
        assert values["train/ev_mean"] == pytest.approx(2 * np.tanh(0.5), rel=1e-5)
        assert values["train/ev_std"] == pytest.approx(0, abs=1e-5) and values["train/saturated"] == 0


class TestEnvironments:
    def test_ids_and_vector_environments(self):
        model = DeepExposure("CnnPolicy", LOCAL, device="cpu", policy_kwargs={"width": 4})
        assert isinstance(model.exposure_env, ExposureVecEnv) and model.n_envs == 8
        vector = ExposureVectorEnv(3, VARYING, stripes, Brightness(), size=SIZE, autoreset_mode="SameStep")
        for env in (vector, RecordEpisodeStatistics(vector)):
            model = agent(env)
            assert model.n_envs == 3 and model.exposure_env.envs is vector
        model.learn(10)
        assert model.num_timesteps >= 10

    @pytest.mark.filterwarnings("ignore:The environment is already wrapped")
    def test_sb3s_wrappers_stay(self):
        model = agent(VecMonitor(vec_env()))
        model.learn(10)
        assert isinstance(model.env, VecMonitor) and len(model.ep_info_buffer) > 0

    @pytest.mark.parametrize(
        "make",
        [
            lambda: DummyVecEnv([lambda: gym.make(LOCAL, photos=VARYING, size=SIZE)]),
            lambda: gym.make(LOCAL, photos=VARYING, size=SIZE),
            lambda: gym.make("CartPole-v1"),
        ],
        ids=["DummyVecEnv", "single", "CartPole"],
    )
    def test_another_environment_is_an_error_that_says_so(self, make):
        with pytest.raises(ValueError, match="needs an ExposureVecEnv"):
            DeepExposure("CnnPolicy", make())

    def test_set_env_takes_and_refuses_the_same(self):
        model = agent(vec_env(obs_type="uint8", num_envs=1))
        with pytest.raises(ValueError, match="needs an ExposureVecEnv"):
            model.set_env(DummyVecEnv([lambda: gym.make(LOCAL, photos=VARYING, size=SIZE)]))
        vector = ExposureVectorEnv(1, VARYING, stripes, Brightness(), size=SIZE, autoreset_mode="SameStep")
        model.set_env(vector)
        assert model.exposure_env.envs is vector
        model.learn(4)

    def test_load_takes_and_refuses_the_same(self, tmp_path):
        agent(vec_env(obs_type="uint8")).save(tmp_path / "model")
        with pytest.raises(ValueError, match="needs an ExposureVecEnv"):
            DeepExposure.load(tmp_path / "model", env=DummyVecEnv([lambda: gym.make(LOCAL, photos=VARYING, size=SIZE)]))
        vector = ExposureVectorEnv(2, VARYING, stripes, Brightness(), size=SIZE, autoreset_mode="SameStep")
        assert DeepExposure.load(tmp_path / "model", env=vector).exposure_env.envs is vector

    def test_a_reward_model_without_gradient_is_an_error(self):
        def brightness(images):
            return images.mean((1, 2, 3))

        with pytest.raises(ValueError, match="differentiable reward model.*brightness"):
            agent(vec_env(reward_model=brightness)).learn(10)

    def test_other_observations_are_an_error(self):
        cartpole = gym.make("CartPole-v1")
        with pytest.raises(ValueError, match="not the observations of an exposure environment"):
            ExposurePolicy(cartpole.observation_space, gym.spaces.Box(-1, 1, (1,)))
        with pytest.raises(ValueError, match="square, not 16x32"):
            ExposurePolicy(gym.spaces.Box(0, 255, (16, 32, 12), np.uint8), gym.spaces.Box(-1, 1, (1,)))

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

    def test_one_segment(self):
        model = agent(vec_env([textured(1)], max_segments=1), learning_rate=1e-3)
        model.learn(16)
        assert model.num_timesteps == 16 and model._n_updates == 2
