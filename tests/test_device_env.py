"""Episodes played as tensors: on the CPU everywhere, and on a GPU where there is one."""

import copy
import random
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecMonitor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from agents.deep_exposure import DeepExposure
from agents.deep_exposure.device_env import DeviceVecEnv
from agents.exploration import exploration
from agents.planes import observed_planes, planes
from agents.rewards.adversarial import AdversarialCallback
from agents.rewards.discriminator import DiscriminatorReward
from agents.rewards.experts import ExpertPhotos
from agents.rewards.trainer import DiscriminatorTrainer
from agents.training.checkpoints import Randomness, read_checkpoint, write_checkpoint
from agents.training.configuration import TrainConfig
from agents.training.diagnostics import Diagnostics
from agents.training.run import train
from agents.vec_env import ExposureVecEnv
from exposure_env.episode import is_done, local_image
from exposure_env.photos import Misexpose, Photo, sample_photos

SIZE = 16
PHOTOS, EXPERTS = sample_photos("inputs", 6), sample_photos("experts", 6)
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=NO_GPU)])
def device(request):
    return request.param


class Brightness:
    """Mean value of the image."""

    differentiable = True

    def __call__(self, images, **context):
        return images.mean((1, 2, 3))


class Indifferent(Brightness):
    """Zero, whatever the image."""

    def __call__(self, images, **context):
        return super().__call__(images) * 0


def stripes(image):
    """As many horizontal stripes as the first value says: 1 at 0, 2 at 0.1, 3 at 0.2, ..."""
    num = 1 + round(float(image[0, 0, 0]) * 10)
    return np.arange(SIZE)[:, None] * num // SIZE * np.ones((1, SIZE), int)


def textured(num_segments, seed=0, target=True):
    """A photo that `stripes` cuts into as many segments."""
    image = np.random.default_rng(seed).uniform(0.05, 0.45, (SIZE, SIZE, 3)).astype(np.float32)
    image[0, 0, 0] = (num_segments - 1) / 10
    return Photo(f"{num_segments} stripes", image, np.sqrt(image) if target else None)


VARYING = [textured(num, num) for num in (1, 3, 2, 5)]


def vec_env(photos=VARYING, num_envs=4, **settings):
    settings = {"size": SIZE, "max_segments": 5, "segmenter": stripes, "reward_model": Brightness(), **settings}
    return ExposureVecEnv(num_envs=num_envs, photos=photos, **settings)


def agent(env=None, lively=False, policy="CnnPolicy", **options):
    """A small agent that plays on its device; a lively one does not start out with the untouched photo."""
    options = {"n_batches": 2, "batch_size": 4, "seed": 0, "device": "cpu", "rollouts": "device", **options}
    model = DeepExposure(policy, env or vec_env(), policy_kwargs={"width": 4}, **options)
    if lively:
        torch.nn.init.normal_(model.policy.actor.stack.head.weight, std=0.5)
        torch.nn.init.constant_(model.policy.actor.stack.head.bias, 0.1)
    return model


def weights(model):
    return torch.nn.utils.parameters_to_vector(model.policy.actor.parameters()).detach().cpu().numpy().copy()


def begun(env, device="cpu", seed=0):
    """The environment with new episodes, and the device's of these."""
    env.seed(seed)
    env.reset()
    played = DeviceVecEnv(env, device)
    return played, played.begin()


def host(array):
    return array.cpu().numpy()


def played_out(played, actions):
    """What comes of all episodes; actions (steps, N, 1)."""
    for action in actions:
        played.step(torch.as_tensor(action, device=played.device))
    return played.finish()


class TestEqualsTheHost:
    @pytest.mark.parametrize("obs_type", ["uint8", "float32", "dict"])
    @pytest.mark.parametrize("settings", [
        {"reward_model": "psnr"},
        {"relative": False, "fusion": "local", "reward_model": "negative_mse", "planes": "paper", "space": "encoded"},
        {"fusion": "mertens", "reward_image": "both", "shaping": "well_exposedness", "gamma": 0.9},
        {"fusion": "mertens_masked", "reward_image": "local", "shaping": "negative_mse", "thumbnail": "letterbox"},
    ], ids=["psnr", "absolute", "both, shaped", "local, shaped"])
    def test_observations_states_images_and_rewards(self, obs_type, settings, device):
        """Exposures may differ by rounding in the last place, and bytes then by one, in few pixels."""
        settings = {"reward_model": "well_exposedness", "obs_type": obs_type, **settings}
        env, other = (ExposureVecEnv(num_envs=6, photos=PHOTOS, max_segments=6, **settings) for _ in range(2))
        played, lengths = begun(other, device)
        env.seed(0)
        seen = env.reset()
        rng, active = np.random.default_rng(1), np.ones(6, bool)
        outcomes = {}

        def assert_seen(ours, theirs):
            difference = np.abs(ours - theirs)
            if obs_type == "float32":
                assert difference.max() < 1e-4
            else:
                assert difference.max() < 1.01 / 255 and (difference > 1e-4).mean() < 1e-3

        def tensors(observation):
            return ({key: torch.as_tensor(part) for key, part in observation.items()} if isinstance(observation, dict)
                    else torch.as_tensor(observation))

        for t in range(lengths.max()):
            assert_seen(host(played.observe())[active], observed_planes(tensors(seen)).numpy()[active])
            actions = rng.uniform(-1.2, 1.2, (6, 1)).astype(np.float32)
            seen, _, dones, infos = env.step(np.clip(actions, -1, 1))
            played.step(torch.as_tensor(actions, device=device))
            state = played.state
            for k, i in enumerate(np.flatnonzero(dones)):
                if active[i]:
                    outcomes[i] = [column[k] for column in env.finished[1:]], env.finished.state.evs[k], infos[i]
            active &= ~dones
            assert (lengths > t + 1).tolist() == active.tolist() == (~host(is_done(state))).tolist()
            for ours, theirs in ((state.evs, env.envs.state.evs), (state.step, env.envs.state.step),
                                 (local_image(state, env.task.config.space), env.task.local(env.envs.state))):
                np.testing.assert_allclose(host(ours)[active], theirs[active], atol=1e-4)
        finished = played.finish()
        assert other.finished is finished and len(outcomes) == 6 and len(set(lengths.tolist())) > 1
        returns = host(played.returns(finished))
        ends = host(planes(env.task, obs_type, finished.state, finished.image))  # the last observation shows the result
        for i, ((image, score, input_score), evs, info) in outcomes.items():
            np.testing.assert_allclose(host(finished.image[i]), image, atol=1e-4)
            np.testing.assert_allclose(host(finished.state.evs[i]), evs, atol=1e-5)
            assert finished.score[i].item() == pytest.approx(score, abs=1e-4)
            assert finished.input_score[i].item() == pytest.approx(input_score, abs=1e-4)
            assert returns[i] == pytest.approx(info["episode"]["r"], abs=1e-4)
            assert lengths[i] == info["episode"]["l"]
            last = info["terminal_observation"]
            last = {key: part[None] for key, part in last.items()} if isinstance(last, dict) else last[None]
            assert_seen(ends[i : i + 1], observed_planes(tensors(last)).numpy())

    def test_actions_of_the_actor(self, device):
        """The actor sees the same bytes and does the same."""
        model = agent(vec_env(obs_type="uint8"), lively=True, device=device, action_noise=None)
        model.env.seed(3)
        seen = model.env.reset()
        played = DeviceVecEnv(model.exposure_env, device)
        played.begin()
        with torch.no_grad():
            actions = host(model.policy.actor(played.observe()))
        expected = model.predict(seen)[0]
        assert expected.std() > 0.01
        np.testing.assert_allclose(actions, expected, atol=1e-4)


class TestEpisodes:
    def test_shorter_ones_stay_as_they_are_once_over(self, device):
        env = vec_env(num_envs=8)
        env.set_options([{"photo": i % 4} for i in range(8)])
        played, lengths = begun(env, device)
        assert lengths.tolist() == [1, 3, 2, 5] * 2
        actions = np.random.default_rng(0).uniform(-1, 1, (5, 8, 1)).astype(np.float32)
        finished = played_out(played, actions)
        expected = np.where(np.arange(5) < lengths[:, None], 3 * actions[..., 0].T, 0)
        np.testing.assert_allclose(host(finished.state.evs), expected, atol=1e-6)
        assert host(finished.state.step).tolist() == lengths.tolist() == host(finished.state.num_segments).tolist()
        for steps in (1, 2, 3):  # to stop with the shortest comes to the same for them
            played.begin()
            image = played_out(played, actions[:steps]).image
            assert torch.equal(image[:4][lengths[:4] == steps], finished.image[:4][lengths[:4] == steps])

    def test_under_way_on_the_host_they_go_on_from_there(self, device):
        env = vec_env([textured(3, 1), textured(5, 2)], shaping=Brightness(), gamma=0.8)
        env.seed(0)
        env.reset()
        first, then = np.split(np.random.default_rng(0).uniform(-1, 1, (5, 4, 1)).astype(np.float32), [1])
        env.step(first[0])
        state = copy.deepcopy(env.envs.state)
        played = DeviceVecEnv(env, device)
        lengths = played.begin()
        assert lengths.tolist() == (state.num_segments - 1).tolist()
        np.testing.assert_array_equal(host(played.state.evs), state.evs)
        finished = played_out(played, then)
        returns = host(played.returns(finished))
        played.leave()
        ended = {}
        for action in then:
            *_, dones, infos = env.step(action)
            ended |= {i: infos[i] for i in np.flatnonzero(dones) if i not in ended}
        for i in range(4):
            assert finished.score[i].item() == pytest.approx(ended[i]["score"], abs=1e-5)
            assert returns[i] == pytest.approx(ended[i]["episode"]["r"], abs=1e-5)  # the whole episode's

    def test_only_the_first_of_them(self, device):
        env = vec_env(num_envs=8)
        played, lengths = begun(env, device)
        photos = host(played.state.photos)
        assert played.begin(3).tolist() == lengths[:3].tolist()
        np.testing.assert_array_equal(host(played.state.photos), photos[:3])

    def test_the_environment_keeps_its_own(self, device):
        env = vec_env()
        played, _ = begun(env, device)
        before, photos = copy.deepcopy(env.envs.state), host(played.state.photos).copy()
        assert env.state is played.state and isinstance(env.state.evs, torch.Tensor)
        played_out(played, np.ones((5, 4, 1), np.float32))
        for ours, theirs in zip(env.envs.state, before, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        env.set_options([{"photo": (info["photo"] + 1) % 4} for info in env.reset_infos])
        env.reset()
        assert (env.envs.state.photos != photos).any((1, 2, 3)).all()
        np.testing.assert_array_equal(host(played.state.photos), photos)  # no memory is shared
        played.leave()
        assert env.state is env.envs.state and isinstance(env.finished.image, torch.Tensor)
        env.step(np.zeros((4, 1), np.float32))
        assert env.finished is None or isinstance(env.finished.image, np.ndarray)

    def test_not_begun(self):
        with pytest.raises(ValueError, match="reset the environment first"):
            DeviceVecEnv(vec_env(), "cpu").begin()

    @pytest.mark.parametrize("setting", ["reward_model", "shaping"])
    def test_models_that_may_know_numpy_only_are_refused(self, setting):
        def brightness(images):
            return images.mean((1, 2, 3))

        env = vec_env(**{setting: brightness})
        with pytest.raises(ValueError, match="differentiable=True"):
            DeviceVecEnv(env, "cpu")
        model = agent(env, value="q", rollouts="auto")
        model.device = torch.device("meta")  # as good as a GPU, up to here
        assert model.device_env is None
        model.set_env(vec_env())
        assert model.device_env.device.type == "meta"
        model.set_env(env)
        if setting == "reward_model":
            model.rollouts, model.device = "device", torch.device("cpu")
            with pytest.raises(ValueError, match="brightness"):
                model.learn(4)


class TestPhotos:
    @pytest.mark.parametrize("settings", [
        {}, {"order": "random"}, {"transform": Misexpose((-1, 1), local=0.0)}, {"thumbnail": "letterbox"},
    ], ids=["kept", "random order", "transform", "letterbox"])
    def test_are_those_that_the_environment_drew(self, settings, device):
        env = ExposureVecEnv(num_envs=5, photos=PHOTOS, **settings)
        played, drawn = DeviceVecEnv(env, device), set()
        env.seed(0)
        for _ in range(4):
            env.reset()
            lengths = played.begin()
            for name, ours, theirs in zip(played.state._fields, played.state, env.envs.state, strict=True):
                assert ours.device.type == torch.device(device).type and ours.dtype == torch.as_tensor(theirs).dtype
                np.testing.assert_array_equal(host(ours), theirs, err_msg=name)
            assert lengths.tolist() == env.envs.state.num_segments.tolist()
            drawn |= {info["photo"] for info in env.reset_infos}
        kept = set(np.flatnonzero(played.bank.known).tolist())
        assert kept == (set() if settings.keys() & {"order", "transform"} else drawn) and len(drawn) > 3

    def test_of_elsewhere(self, device):
        env = vec_env()
        env.set_options([{"photo": 1}, {"photo": textured(4, 9)}, {}, {}])
        played, lengths = begun(env, device)
        assert lengths[:2].tolist() == [3, 4]
        np.testing.assert_array_equal(host(played.state.photos), env.envs.state.photos)

    def test_with_and_without_targets_in_one_data_set(self, device):
        env = vec_env([textured(2, 1, target=False), textured(3, 2)], num_envs=1)
        played = DeviceVecEnv(env, device)
        for photo in (0, 1, 0):
            env.set_options({"photo": photo})
            env.reset()
            played.begin()
            assert (played.state.targets is None) == (photo == 0)
            np.testing.assert_array_equal(host(played.state.photos)[0], env.task.photos[photo].image)


@contextmanager
def no_waiting():
    """An error wherever the host waits for a GPU."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


class FromHost(TorchDispatchMode):
    """Notes operations on tensors that lie on the host."""

    def __init__(self):
        super().__init__()
        self.noted = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if any(isinstance(leaf, torch.Tensor) and leaf.device.type == "cpu" for leaf in tree_leaves((args, kwargs))):
            self.noted.append(str(function))
        return function(*args, **(kwargs or {}))


class TestNothingIsCopiedInsideAStep:
    """On the device "meta" tensors have no values at all: code that asked for one there would fail."""

    @pytest.mark.parametrize("obs_type, policy", [("uint8", "CnnPolicy"), ("float32", "CnnPolicy"),
                                                  ("dict", "MultiInputPolicy")])  # fmt: skip
    @pytest.mark.parametrize("space", ["linear", "encoded"])
    def test_without_values_a_step_is_the_same(self, obs_type, policy, space):
        model = agent(vec_env(obs_type=obs_type, space=space), policy=policy)
        model.env.reset()
        model.policy.to("meta")
        played = DeviceVecEnv(model.exposure_env, "meta")
        lengths, noise = played.begin(), torch.zeros((5, 4, 1), device="meta")
        for t in range(lengths.max()):
            with FromHost() as seen:
                actions = model._play(played, noise[t])
            assert seen.noted == []
            assert {column.device.type for column in (*played.state, actions)} == {"meta"}
        assert actions.shape == (4, 1) and played.state.evs.shape == (4, 5)
        for ask in (lambda: bool(is_done(played.state).all()), lambda: is_done(played.state).cpu(),
                    lambda: played.state.evs[is_done(played.state)], lambda: played.state.evs.numpy()):
            with pytest.raises((RuntimeError, NotImplementedError, TypeError)):  # so it would have been seen
                ask()
        with FromHost() as seen:  # and so would a copy to the device have been
            torch.asarray(np.ones(3), device="meta")
        assert seen.noted != []

    @NO_GPU
    def test_a_gpu_is_not_waited_for(self):
        model = agent(vec_env(obs_type="uint8"), device="cuda")
        model.env.reset()
        lengths = model.device_env.begin()
        noise = torch.zeros((5, 4, 1), device="cuda")
        model._play(model.device_env, noise[0])  # libraries set themselves up
        model.device_env.begin()
        with no_waiting():
            for t in range(lengths.max()):
                model._play(model.device_env, noise[t])
        assert bool(is_done(model.device_env.state).all())


class Noted(BaseCallback):
    """Notes what callbacks are told."""

    def __init__(self):
        super().__init__()
        self.actions, self.dones, self.ended, self.steps = [], [], [], []

    def _on_step(self):
        env = self.training_env.unwrapped
        self.actions.append(host(self.locals["actions"])[:, 0].copy())
        self.dones.append(self.locals["dones"].copy())
        self.ended += [] if env.finished is None else [env.finished]
        self.steps.append(self.num_timesteps)
        return True


class TestRollouts:
    def test_exactly_as_many_episodes_as_wanted_in_batches(self, device):
        noted = Noted()
        model = agent(n_batches=5, batch_size=2, device=device)
        finished = []
        model.train = finished.append
        model.learn(1, noted)
        assert [len(outcome.score) for outcome in noted.ended] == [4, 4, 2] and len(finished) == 1
        state = finished[0]
        assert state.evs.shape == (10, 5) and state.photos.device.type == device
        assert bool((state.step == state.num_segments).all())
        assert model.num_timesteps == int(state.num_segments.sum()) == noted.steps[-1]
        longest = [int(outcome.state.num_segments.max()) for outcome in noted.ended]
        assert [len(dones) for dones in noted.dones] == [4] * longest[0] + [4] * longest[1] + [2] * longest[2]
        assert [bool(dones.all()) for dones in noted.dones if dones.all() == dones.any()] == [
            t == steps - 1 for steps in longest for t in range(steps)]  # fmt: skip
        returns = torch.cat([outcome.score - outcome.input_score for outcome in noted.ended])
        assert [info["r"] for info in model.ep_info_buffer] == pytest.approx(returns.tolist(), abs=1e-6)
        assert [info["l"] for info in model.ep_info_buffer] == state.num_segments.tolist()
        assert model.exposure_env.elsewhere is None and model._last_obs.shape == (4, *model.observation_space.shape)

    @pytest.mark.parametrize("obs_type", ["uint8", "float32"])
    def test_a_training_resembles_the_hosts(self, obs_type, device):
        """Where all episodes are of one length, both play the same photos with the same noise."""
        trained = {}
        for rollouts in ("host", "device"):
            env = vec_env([textured(3, seed) for seed in range(6)], num_envs=8, obs_type=obs_type)
            model = agent(env, rollouts=rollouts, learning_rate=1e-3, device=device)
            model.learn(4 * 8 * 3)
            assert model._n_updates == 4 and model.num_timesteps == 96
            trained[rollouts] = model
        one, other = (np.array([info["r"] for info in model.ep_info_buffer]) for model in trained.values())
        assert one.std() > 1e-3
        np.testing.assert_allclose(one, other, atol=1e-4 if device == "cpu" else 1e-3)
        begin = weights(agent(env))
        moved = np.abs(weights(trained["host"]) - begin).max()
        assert np.abs(weights(trained["host"]) - weights(trained["device"])).max() < 0.05 * moved

    @pytest.mark.parametrize("options", [
        {"value": "critic", "shaping": True, "td_lambda": 0.5}, {"value": "discriminator"},
        {"value": "discriminator", "value_image": "next"}, {"value": "pathwise"}, {"value": "q"},
    ], ids=lambda options: "-".join(map(str, options.values())))
    def test_all_forms_learn_to_brighten_what_is_too_dark(self, options, device):
        """The reward is the mean; an exposure of 0 is where all begin."""
        model = agent(vec_env(obs_type="uint8"), learning_rate=3e-3, critic_learning_rate=1e-2, n_batches=4,
                      device=device, **options)
        model.learn(700)
        gain, _ = evaluate_policy(model, vec_env(obs_type="uint8"), 8, warn=False)
        assert np.isfinite(weights(model)).all()
        assert gain > 0.05

    @pytest.mark.parametrize("value_image", ["next", "final"])
    def test_photos_a_stop_too_dark_are_restored(self, value_image, device):
        def grey(value, target):
            return Photo("grey", *(np.full((SIZE, SIZE, 3), v, np.float32) for v in (value, target)))

        def halves(image):
            return np.arange(SIZE)[:, None] * 2 // SIZE * np.ones((1, SIZE), int)

        env = vec_env([grey(0.2, 0.4), grey(0.25, 0.5)], 8, segmenter=halves, reward_model="negative_mse",
                      space="encoded", max_ev=2.0, fusion="local")
        model = agent(env, learning_rate=3e-3, batch_size=8, value_image=value_image, device=device)
        model.learn(20 * 16 * 2)
        after, _ = evaluate_policy(model, env, 8, warn=False)
        assert model._n_updates == 20 and after > 0.9 * (0.2**2 + 0.25**2) / 2  # of the error that there was

    @pytest.mark.parametrize("obs_type, policy", [("float32", "CnnPolicy"), ("dict", "MultiInputPolicy")])
    @pytest.mark.parametrize("planes", ["paper", "full"])
    def test_observations_of_all_types(self, obs_type, policy, planes, device):
        model = agent(vec_env(obs_type=obs_type, planes=planes), policy=policy, learning_rate=1e-3, device=device)
        before = weights(model)
        model.learn(30)
        assert (weights(model) != before).any() and np.isfinite(weights(model)).all()

    def test_same_seed_same_training(self, device):
        trained, told = [], []
        for seed in (0, 0, 1):
            model = agent(vec_env(obs_type="uint8"), seed=seed, learning_rate=1e-3, device=device)
            model.learn(80)
            trained.append(weights(model))
            told.append([info["r"] for info in model.ep_info_buffer])
        np.testing.assert_allclose(trained[0], trained[1], atol=0 if device == "cpu" else 5e-3)
        assert told[0] == pytest.approx(told[1], abs=1e-6 if device == "cpu" else 1e-2) and told[0] != told[2]
        assert (trained[0] != trained[2]).any()

    @pytest.mark.parametrize("reset_noise", [True, False])
    def test_noise_begins_anew_with_an_episode_or_not(self, reset_noise, device):
        noted = Noted()
        env = vec_env([textured(5)], num_envs=64, reward_model=Indifferent())  # its actor stays at 0: all is noise
        agent(env, n_batches=8, batch_size=64, reset_noise=reset_noise, device=device).learn(8 * 64 * 5, noted)
        assert [dones.all() for dones in noted.dones] == ([False] * 4 + [True]) * 8
        noise = np.array(noted.actions)
        starts = np.arange(5, 40, 5)
        afresh = noise[starts].std() / 0.03
        continued = (noise[starts] - 0.985 * noise[starts - 1]).std() / 0.03
        within = (noise[starts + 1] - 0.985 * noise[starts]).std() / 0.03
        assert within == pytest.approx(1, rel=0.1)
        assert (afresh if reset_noise else continued) == pytest.approx(1, rel=0.1)
        assert (continued if reset_noise else afresh) > 1.8

    def test_no_noise_and_gaussian_noise_in_bounds(self, device):
        noted = Noted()
        agent(vec_env(reward_model=Indifferent()), action_noise=None, device=device).learn(16, noted)
        assert (np.concatenate(noted.actions) == 0).all()
        noted = Noted()
        noise = exploration("gaussian", 3.0)
        agent(vec_env(reward_model=Indifferent()), action_noise=noise, device=device).learn(40, noted)
        actions = np.concatenate(noted.actions)
        assert actions.min() == -1 and actions.max() == 1 and 0 < np.mean(np.abs(actions) < 1) < 1

    def test_a_callback_stops_it_and_learning_goes_on(self, device):
        model = agent(vec_env([textured(3)]), device=device)
        model.learn(1000, lambda local, other: model.num_timesteps < 8)
        assert model.num_timesteps == 8 and model._n_updates == 0 and model.exposure_env.elsewhere is None
        model.learn(20, reset_num_timesteps=False)
        assert model._n_updates == 1 and model.num_timesteps == 8 + 24

    def test_a_score_that_is_not_finite_is_an_error_and_leaves_nothing_behind(self, device):
        class Astray(Brightness):
            def __call__(self, images, **context):
                return super().__call__(images) + float("nan")

        model = agent(vec_env(reward_model=Astray()), device=device)
        with pytest.raises(ValueError, match="not finite"):
            model.learn(16)
        assert model.exposure_env.elsewhere is None

    @pytest.mark.filterwarnings("ignore:The environment is already wrapped")
    def test_sb3s_wrappers_and_saving(self, tmp_path, device):
        model = agent(VecMonitor(vec_env(obs_type="uint8")), learning_rate=1e-3, device=device)
        model.learn(40)
        model.save(tmp_path / "model")
        loaded = DeepExposure.load(tmp_path / "model", env=vec_env(obs_type="uint8"), device=device)
        np.testing.assert_array_equal(weights(loaded), weights(model))
        assert loaded.rollouts == "device" and loaded.device_env.exposure_env is loaded.exposure_env
        loaded.learn(40, reset_num_timesteps=False)
        assert (weights(loaded) != weights(model)).any()

    def test_another_environment_has_another_device_env(self, device):
        model = agent(device=device)
        model.learn(8)
        first = model.device_env
        assert model.device_env is first
        model.set_env(vec_env([textured(2)]))
        model.learn(8)
        assert model.device_env is not first and model.device_env.exposure_env is model.exposure_env

    def test_where_it_plays(self):
        assert agent(rollouts="auto").device_env is None and agent(rollouts="host").device_env is None
        assert isinstance(agent().device_env, DeviceVecEnv)
        with pytest.raises(ValueError, match="rollouts must be one of.*'gpu'"):
            agent(rollouts="gpu")

    @NO_GPU
    def test_a_gpu_is_where_it_plays_by_itself(self):
        assert agent(rollouts="auto", device="cuda").device_env.device.type == "cuda"


def adversarial(device, seed=0, **options):
    """An agent under a discriminator, and the game."""
    torch.manual_seed(seed)
    judge = DiscriminatorReward(width=4, device=device)
    env = ExposureVecEnv(num_envs=4, photos=PHOTOS, reward_model=judge, max_segments=4)
    env.seed(seed)
    model = agent(env, n_batches=1, seed=seed, learning_rate=1e-3, device=device)
    game = AdversarialCallback(DiscriminatorTrainer(judge), ExpertPhotos(EXPERTS), n_critic=2, batch_size=8, warm_up=2,
                             misexposed=0.25, pooled=0.25, pool_size=10, **options)
    return model, game


class TestGame:
    @pytest.mark.parametrize("unfinished", [0.0, 0.25])
    def test_its_images_stay_on_the_device(self, unfinished, device):
        model, game = adversarial(device, unfinished=unfinished)
        shown, fakes = [], game._fakes

        def noted(fresh, others):
            shown.append((fresh, others))
            return fakes(fresh, others)

        game._fakes = noted
        before = weights(model)
        model.learn(40, CallbackList([game, Diagnostics(game, every=1)]))
        assert (weights(model) != before).any() and game.rollouts == model._n_updates > 1
        assert isinstance(game.pool, torch.Tensor) and game.pool.device.type == device and len(game.pool) <= 10
        for fresh, others in shown:
            assert fresh.shape == (4, 64, 64, 3) and fresh.device.type == device
            assert (len(others) > 0) == (unfinished > 0)
        assert bool(torch.isfinite(game._fakes(*shown[-1])).all())

    def test_diagnostics_and_the_log(self, device):
        model, game = adversarial(device)
        row = {}

        class Log(Logger):
            def dump(self, step=0):
                row.update(self.name_to_value)
                super().dump(step)

        model.set_logger(Log(None, []))
        model.learn(1, CallbackList([game, Diagnostics(game, every=1)]))
        assert {"ev/step_1_mean", "response/+0.0", "discriminator/real", "rollout/ep_rew_mean"} <= set(row)
        assert all(np.isfinite(value) for value in row.values())


class StopAfter(BaseCallback):
    """Ends a training after some steps."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def _on_step(self):
        return self.n_calls < self.steps


class TestGoingOn:
    def test_a_run_folder(self, tmp_path, device, monkeypatch):
        monkeypatch.setitem(DeepExposure.__init__.__kwdefaults__, "rollouts", "device")
        config = TrainConfig(total_timesteps=80, device=device, num_envs=4, n_batches=1, batch_size=4, width=4,
                             max_segments=4, discriminator_batch_size=4, warm_up=2, n_critic=1, checkpoint_every=2,
                             value="critic", unfinished=0.25, pooled=0.25)  # fmt: skip
        whole = train(config, PHOTOS, EXPERTS, tmp_path / "whole", progress_bar=False)
        stopped = train(config, PHOTOS, EXPERTS, tmp_path / "cut", [StopAfter(13)], progress_bar=False)
        assert whole.model.device_env is not None and 2 < stopped.model.num_updates < whole.model.num_updates
        torch.manual_seed(5), np.random.seed(5), random.seed(5)
        resumed = train(config, PHOTOS, EXPERTS, tmp_path / "cut", progress_bar=False, resume=True)
        assert resumed.model.num_timesteps == whole.model.num_timesteps
        tolerance = 0 if device == "cpu" else 5e-3
        np.testing.assert_allclose(weights(resumed.model), weights(whole.model), atol=tolerance)

    def parts(self, model, game):
        return {"model": model, "game": game, "randomness": Randomness()}

    def test_from_a_checkpoint_bit_for_bit(self, tmp_path, device):
        """On the CPU; a GPU adds up in another order every time."""
        whole, game = adversarial(device)
        whole.learn(1, game)
        whole.learn(1, game, reset_num_timesteps=False)
        path, parts = tmp_path / "checkpoint.pt", self.parts(whole, game)
        write_checkpoint(path, {name: part.state_dict() for name, part in parts.items()})
        for _ in range(2):
            whole.learn(1, game, reset_num_timesteps=False)
        expected = {name: part.state_dict() for name, part in parts.items()}

        resumed, game = adversarial(device, seed=5)
        torch.manual_seed(8), np.random.seed(8), random.seed(8)
        state, parts = read_checkpoint(path), self.parts(resumed, game)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        for _ in range(2):
            resumed.learn(1, game, reset_num_timesteps=False)
        assert resumed.num_updates == 4 and resumed.num_timesteps == whole.num_timesteps
        tolerance = 0 if device == "cpu" else 5e-3
        np.testing.assert_allclose(weights(resumed), weights(whole), atol=tolerance)
        found = parts["randomness"].state_dict()
        assert torch.equal(found.pop("torch"), expected["randomness"].pop("torch"))
        assert found == expected["randomness"]
        np.testing.assert_allclose(host(game.pool), expected["game"]["pool"], atol=tolerance)

    def test_from_the_midst_of_episodes_that_the_host_played(self, device):
        model, game = adversarial("cpu")
        model.rollouts = "host"
        model.learn(1, game)
        model.learn(1, game, reset_num_timesteps=False)
        state, kept = model.state_dict(), game.state_dict()
        assert (state["env"]["envs"]["episodes"]["step"] > 0).any()
        other, game = adversarial(device)
        other.load_state_dict(state)
        game.load_state_dict(kept)
        noted = Noted()
        other.learn(1, CallbackList([game, noted]), reset_num_timesteps=False)
        first = noted.ended[0].state
        done = state["env"]["envs"]["episodes"]["step"]
        before = np.arange(4) < done[:, None]
        np.testing.assert_array_equal(host(first.evs)[before], state["env"]["envs"]["episodes"]["evs"][before])
        assert noted.steps[-1] - state["num_timesteps"] == int(first.num_segments.sum()) - done.sum()
        assert other.num_updates == model.num_updates + 1 and isinstance(game.pool, torch.Tensor)

        back = other.state_dict()  # and the other way round
        model.load_state_dict(back)
        model.learn(1, game, reset_num_timesteps=False)
        assert isinstance(game.pool, np.ndarray) and model.num_updates == other.num_updates + 1
