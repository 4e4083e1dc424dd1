"""Episodes played as tensors: on the CPU everywhere, and on a GPU where there is one."""

import copy
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from agents.deep_exposure.device_env import DeviceVecEnv
from agents.planes import observed_planes, planes
from agents.vec_env import ExposureVecEnv
from exposure_env.episode import is_done, local_image
from exposure_env.photos import Misexpose
from tests.deep_exposure.on_device import NO_GPU, PHOTOS, agent, begun, host, played_out, textured, vec_env
from tests.deep_exposure.small import Brightness

pytestmark = pytest.mark.usefixtures("one_thread")


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
                    outcomes[i] = [column[k] for column in env.finished[1:4]], env.finished.state.evs[k], infos[i]
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
        env.set_options([{"photo": (info["photo_index"] + 1) % 4} for info in env.reset_infos])
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
            drawn |= {info["photo_index"] for info in env.reset_infos}
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
