"""Other people's libraries use our environments as they stand: examples/clients, run where the library is installed."""

import ast
import os
import re
import runpy
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import stable_baselines3
import torch
from stable_baselines3.common.env_util import make_vec_env

from agents.vec_env import ExposureVecEnv
from tests.programs import start
from tests.repository import ROOT
from tests.test_architecture import private_names

CLIENTS = ROOT / "examples" / "clients"
NEEDS = {
    "cleanrl_ppo.py": (), "minari_recording.py": ("minari", "h5py", "jax"), "rllib_ppo.py": ("ray", "tree", "pyarrow"),
    "skrl_ppo.py": ("skrl",), "torchrl_ppo.py": ("torchrl",),
}  # fmt: skip
ZOO = sorted(path.name for path in (CLIENTS / "rl_zoo").glob("*.yml"))
IDS = ["Exposure/Local-v0", "Exposure/Global-v0"]
SNIPPETS = re.findall(r"```python\n(.*?)```", (CLIENTS / "imitation.md").read_text("utf-8"), re.DOTALL)
programs = pytest.mark.parametrize("program", sorted(NEEDS))


def want(*libraries):
    """Skips the test where a library is not installed; it is not imported here."""
    if missing := [name for name in libraries if find_spec(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")


def test_every_program_is_listed_here():
    assert sorted(path.name for path in CLIENTS.glob("*.py")) == sorted(NEEDS)


@programs
def test_program(program, tmp_path):
    want(*NEEDS[program])
    writes = "out: Path" in (CLIENTS / program).read_text("utf-8")
    done = start(CLIENTS / program, "--quick", *(["--out", tmp_path / "out"] if writes else []), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    gains = [float(gain) for gain in re.findall(r"([+-]\d+\.\d\d) dB", done.stdout)]
    assert gains and all(abs(gain) < 30 for gain in gains)
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if writes else [])


@programs
def test_a_program_says_how_to_install_and_to_call_it(program):
    tree = ast.parse((CLIENTS / program).read_text("utf-8"))
    told = ast.get_docstring(tree)
    assert f"python examples/clients/{program}" in told and "--quick" in told and re.search(r"\d+\.\d+\.\d+", told)
    assert re.search(r"python -m pip install .*==\d", told) or not NEEDS[program]
    assert private_names(tree) == set()


class TestCleanRL:
    """The update in plain Torch, piece by piece."""

    @pytest.fixture
    def names(self):
        return runpy.run_path(str(CLIENTS / "cleanrl_ppo.py"))

    def test_only_where_time_ran_out_the_last_observation_has_a_value(self, names):
        last = np.full((64, 64, 12), 7, np.uint8)
        infos = {"final_obs": np.array([None, None, None, None], object)}
        for i in (1, 2, 3):
            infos["final_obs"][i] = last + i

        def agent(observations):
            return None, torch.as_tensor(observations[:, 0, 0, 0]).float()

        with torch.no_grad():
            rewards = names["bootstrapped"](agent, np.ones(4), np.array([False, True, False, True]),
                                            np.array([False, False, True, True]), infos)  # fmt: skip
        np.testing.assert_allclose(rewards, [1, 1, 1 + 0.99 * 9, 1])

    def test_an_update_makes_rewarded_actions_likelier(self, names, one_thread):
        agent, steps = names["Agent"](12), []
        for seen in np.random.default_rng(0).integers(0, 256, (8, 16, 64, 64, 12), np.uint8):
            with torch.no_grad():
                policy, values = agent(seen)
                actions = policy.sample()
            rewards, done = torch.where(actions > 0, 1.0, -1.0), torch.ones(16, dtype=bool)
            steps.append((torch.as_tensor(seen), actions, policy.log_prob(actions), values, rewards, done))
        columns = [torch.stack(column) for column in zip(*steps, strict=True)]
        before = policy.mean.mean()
        names["update"](agent, torch.optim.Adam(agent.parameters(), 1e-3), columns, torch.zeros(16))
        assert agent(seen)[0].mean.mean() > before + 0.01


class TestZoo:
    """RL Baselines3 Zoo: its settings are those of Stable-Baselines3's algorithms, and its command runs."""

    @pytest.mark.parametrize("id", IDS)
    @pytest.mark.parametrize("name", ZOO)
    def test_the_settings_make_the_algorithm_that_the_file_is_named_after(self, name, id, one_thread):
        yaml = pytest.importorskip("yaml")
        settings = yaml.safe_load((CLIENTS / "rl_zoo" / name).read_text("utf-8"))[id]
        assert settings.pop("n_timesteps") >= 10_000
        for own in [key for key in settings if key.startswith("noise_")]:  # the zoo's own, for `action_noise`
            settings.pop(own)
        algorithm = getattr(stable_baselines3, name.removesuffix(".yml").upper())
        envs = make_vec_env(f"exposure_env:{id}", settings.pop("n_envs"))
        model = algorithm(env=envs, **settings)
        assert model.predict(envs.reset())[0].shape == (envs.num_envs, 1)
        if (buffer := getattr(model, "replay_buffer", None)) is not None:
            assert buffer.observations.nbytes + buffer.next_observations.nbytes < 2e9

    def test_the_command_of_its_page_runs(self, tmp_path):
        want("rl_zoo3")
        page = (CLIENTS / "rl_zoo" / "README.md").read_text("utf-8")
        command = re.search(r"`python (-m rl_zoo3\.train [^`]*)`", page)[1].split()
        command = [str(ROOT / word) if word.endswith(".yml") else word for word in command]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
        done = subprocess.run([sys.executable, *command, "--device", "cpu"], cwd=tmp_path, env=environment,
                              capture_output=True, text=True, timeout=240)  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "ep_rew_mean" in done.stdout
        assert list(tmp_path.glob("logs/ppo/*/*.zip"))


class TestImitation:
    """The page on imitation: what needs only us is run here always, the rest where imitation is installed."""

    def test_our_reward_as_its_reward_function_is_the_reward_of_the_environment(self, one_thread):
        names = {}
        (snippet,) = [snippet for snippet in SNIPPETS if "def as_reward_fn" in snippet]
        exec(compile(snippet, "imitation.md", "exec"), names)
        reward_fn = names["as_reward_fn"]("well_exposedness")
        envs = ExposureVecEnv(num_envs=4, reward_model="well_exposedness", obs_type="float32")
        state, ended, rng = envs.reset(), 0, np.random.default_rng(0)
        for _ in range(12):
            actions = rng.uniform(-1, 1, (4, 1)).astype(np.float32)
            following, rewards, done, infos = envs.step(actions)
            last = [info["terminal_observation"] if over else each
                    for each, over, info in zip(following, done, infos, strict=True)]  # fmt: skip
            np.testing.assert_allclose(reward_fn(state, actions, np.stack(last), done), rewards, atol=1e-6)
            state, ended = following, ended + done.sum()
        assert ended >= 4

    def test_the_snippets_of_the_page_run_one_after_the_other(self, one_thread):
        want("imitation")
        names = {}
        for snippet in SNIPPETS:
            exec(compile(snippet.replace("learn(1024)", "learn(512)"), "imitation.md", "exec"), names)
        env, net = names["env"], names["net"]
        env.reset(seed=0)
        terminated = False
        while not terminated:
            _, reward, terminated, _, info = env.step([0.2])
        pictures = np.rint(np.stack([env.unwrapped.result()]) * 255).astype(np.uint8)
        value = net.predict(pictures, np.zeros((1, 1)), pictures, np.ones(1))[0]
        assert info["score"] == pytest.approx(value, abs=1e-4) and reward != 0
