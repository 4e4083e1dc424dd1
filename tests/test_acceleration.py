"""The switch, the definitions' way to their twins, and the compiler's message."""

import ast
import importlib
import inspect
import threading

import numpy as np
import pytest

from exposure_env import kernels, threads
from exposure_env.fusion import mertens
from tests.programs import run
from tests.repository import ROOT

numba = pytest.mark.skipif(not kernels.available(), reason="numba is not installed")

EPISODE = """
import numpy as np
import exposure_env
from exposure_env import kernels, threads
rng = np.random.default_rng(0)
image = rng.random((4, 4, 3), np.float32).repeat(16, 0).repeat(16, 1) * 0.5 + rng.random((64, 64, 3), np.float32) * 0.03
env = exposure_env.ExposureEnv(photos=[exposure_env.Photo("blocks", image, image**0.8)])
observation, _ = env.reset(seed=0, options={"photo": 0})
total, terminated = 0.0, False
while not terminated:
    observation, reward, terminated, _, _ = env.step(np.array([0.2], np.float32))
    total += reward
print(kernels.enabled(), int(observation.astype(int).sum()), round(total, 3))
"""
MSE = """
import numpy as np
from exposure_env.rewards import resolve_reward
images = np.zeros((2, 8, 8, 3), np.float32)
print(resolve_reward("negative_mse")(images, targets=images + np.float32(0.5)))
"""


def _names(arguments):
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


@numba
class TestSwitch:
    def test_off_inside_the_block_and_on_again_after_it_whatever_happens(self):
        assert kernels.enabled() and kernels.load("fusion").__name__ == "exposure_env.kernels.fusion"
        with kernels.disabled():
            assert not kernels.enabled() and kernels.load("fusion") is None
            with kernels.disabled():
                pass
            assert not kernels.enabled()
        with pytest.raises(KeyError), kernels.disabled():
            raise KeyError
        assert kernels.enabled()

    def test_other_threads_go_on_but_those_that_work_for_this_one(self):
        seen = []
        with kernels.disabled():
            thread = threading.Thread(target=lambda: seen.append(kernels.enabled()))
            thread.start()
            thread.join()
            assert threads.spread(lambda _: kernels.enabled(), range(4)) == [False] * 4
        assert seen == [True]
        assert threads.spread(lambda _: kernels.enabled(), range(4)) == [True] * 4

    def test_the_same_episode_with_kernels_without_them_and_without_numba(self):
        plain = run(EPISODE, EXPOSURE_KERNELS="0").stdout.split()
        absent = run("import sys\nsys.modules['numba'] = None\n" + EPISODE).stdout.split()
        fast = run(EPISODE, EXPOSURE_KERNELS="1").stdout.split()
        assert plain[0] == absent[0] == "False" and fast[0] == "True"
        assert plain[1:] == absent[1:]
        assert float(fast[2]) == pytest.approx(float(plain[2]), abs=2e-3)
        assert abs(int(fast[1]) - int(plain[1])) <= 20  # 8-bit values on the edge may round the other way

    def test_a_definition_gives_way_to_its_twin_where_the_twin_is_made_for_the_arguments(self):
        photos = np.random.default_rng(0).random((2, 16, 16, 3)).astype(np.float32)
        given = photos, np.zeros((2, 16, 16), np.int32), np.ones((2, 1), np.float32)
        double = photos.astype(np.float64), given[1], given[2].astype(np.float64)
        definition, twin = inspect.unwrap(mertens), kernels.load("fusion").mertens
        expected = definition(*given)
        assert (mertens(*given) != expected).any()  # the last bits tell who computed it
        np.testing.assert_array_equal(mertens(*given), twin(*given))
        np.testing.assert_allclose(mertens(*given), expected, atol=1e-4)
        with kernels.disabled():
            np.testing.assert_array_equal(mertens(*given), expected)
        assert twin(*double) is NotImplemented
        np.testing.assert_array_equal(mertens(*double), definition(*double))
        assert mertens.__doc__ == definition.__doc__ and inspect.signature(mertens) == inspect.signature(definition)

    def test_every_definition_names_a_twin_that_takes_the_same_arguments(self):
        """Read from the sources: a decorator that names nothing would only show where it is called."""
        found = 0
        for path in sorted((ROOT / "exposure_env").rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                for decorator in getattr(node, "decorator_list", []):
                    if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == "accelerated":
                        module, name = decorator.args[0].value.split(".")
                        twin = getattr(importlib.import_module(f"exposure_env.kernels.{module}"), name)
                        assert len(inspect.signature(twin).parameters) == len(_names(node.args)), (path, name)
                        found += 1
        assert found > 10


@numba
class TestCompiler:
    def test_says_once_that_it_compiles_and_never_again(self, tmp_path):
        first, second = (run(MSE, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
        assert first.stderr.count("compiling the fast paths of exposure_env") == 1 and second.stderr == ""
        assert first.stdout == second.stdout == "[-0.25 -0.25]\n"
        assert any(tmp_path.rglob("*.nbi"))

    def test_works_where_nothing_can_be_kept_on_disk(self):
        places = "from numba.core.caching import CompileResultCacheImpl as Cache\nCache._locator_classes = []\n"
        done = run(places + MSE)
        assert done.stdout == "[-0.25 -0.25]\n" and "compiling" in done.stderr

    def test_importing_the_package_loads_no_numba(self):
        assert run("import sys, exposure_env\nprint('numba' in sys.modules)").stdout == "False\n"
