"""The rules of the house, read from the sources themselves."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("exposure_env", "agents")
CORE = ("image", "fusion", "segmentation", "rewards", "episode", "env")  # what a newcomer reads first
PURE = (*CORE[:-1], "pyramid", "increments")
FILES = {
    "exposure_env": {"files", "label_files", "photos", "raw", "retouch"},
    "agents": {"training", "checkpoint", "compiling", "cli", "benchmark", "resume", "retouching", "run_log"},
}
TALKATIVE = {"cli", "training"}

# What reads or writes files, by its last name; and where the last name means other things too, by its full name.
FILE_CALLS = {
    "open", "fdopen", "imread", "imwrite", "imsave", "imdecode", "imencode", "savefig", "fromfile", "tofile", "savez",
    "savez_compressed", "savetxt", "loadtxt", "genfromtxt", "memmap", "open_memmap", "read_text", "write_text",
    "read_bytes", "write_bytes", "mkdir", "makedirs", "unlink", "rename", "iterdir", "rglob", "touch", "rmdir",
    "rmtree", "copyfile", "copytree", "mkstemp", "mkdtemp", "TemporaryDirectory", "NamedTemporaryFile", "TemporaryFile",
    "listdir", "scandir", "save_file", "load_file", "SummaryWriter", "urlopen", "urlretrieve",
}  # fmt: skip
FILE_CALLS_IN_FULL = {
    "os.remove", "os.replace", "os.walk", "shutil.move", "shutil.copy", "numpy.load", "np.load", "numpy.save",
    "np.save", "torch.load", "torch.save", "json.load", "json.dump", "pickle.load", "pickle.dump", "Image.open",
    "glob.glob",
}  # fmt: skip


def modules(package):
    """Sources of a package by the name of the module."""
    found = {path.stem: ast.parse(path.read_text("utf-8"), str(path)) for path in (ROOT / package).glob("*.py")}
    assert len(found) > 3
    return found


def imports(tree, package=None):
    """Full names of all that a module imports, wherever in it: `from a.b import c` gives "a.b" and "a.b.c"."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(filter(None, [package if node.level else None, node.module]))
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and full_name(node.func).split(".")[-1] in {"import_module", "__import__"}:
            names |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return names


def full_name(node):
    """"a.b.c" of a dotted expression; "?.c" where it starts otherwise."""
    if isinstance(node, ast.Attribute):
        return f"{full_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def calls(tree):
    """Full names of all that is called."""
    return {full_name(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def touches_files(tree):
    """Calls that read or write files."""
    return {name for name in calls(tree) if name.split(".")[-1] in FILE_CALLS or name in FILE_CALLS_IN_FULL}


def private_names(tree):
    """Attributes and imported names with a leading underscore, but not dunders."""
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {part for name in imports(tree) for part in name.split(".")}
    return {name for name in names if name.startswith("_") and not name.endswith("__")}


def roots(names):
    """Top-level packages."""
    return {name.split(".")[0] for name in names}


def test_the_rules_see_what_they_look_for():
    tree = ast.parse(
        "import torch.nn as n\nfrom agents import x\nfrom . import y\nimport importlib\n"
        "importlib.import_module('gym')\n"
        "def f(p):\n    import os\n    env._state\n    env.__class__\n    from a._b import c\n"
        "    np.load(p)\n    Path(p).write_text('')\n    open(p)\n    print(p)\n    s.replace('a', 'b')\n    m.load()\n"
    )
    assert roots(imports(tree, "mine")) == {"torch", "agents", "mine", "importlib", "gym", "os", "a"}
    assert private_names(tree) == {"_state", "_b"}
    assert touches_files(tree) == {"np.load", "?.write_text", "open"}
    assert {"print", "importlib.import_module"} <= calls(tree)


def test_the_environments_import_neither_torch_nor_the_agents():
    for name, tree in modules("exposure_env").items():
        assert not roots(imports(tree, "exposure_env")) & {"torch", "torchvision", "stable_baselines3", "agents"}, name


def test_a_fresh_process_that_plays_an_episode_loads_no_torch():
    program = """
import sys
import gymnasium as gym
import exposure_env
for id in ("Exposure/Local-v0", "Exposure/Global-v0"):
    env = gym.make(id, render_mode="rgb_array")
    env.reset(seed=0)
    terminated = False
    while not terminated:
        terminated = env.step(env.action_space.sample())[2]
    assert env.render().ndim == 3
envs = gym.make_vec("Exposure/Local-v0", num_envs=2)
envs.reset(seed=0)
envs.step(envs.action_space.sample())
print(sorted({name.split(".")[0] for name in sys.modules} & {"torch", "stable_baselines3", "agents", "gymnasium"}))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['gymnasium']"


@pytest.mark.parametrize("name", PURE)
def test_the_core_knows_nothing_of_gymnasium_nor_does_what_it_imports(name):
    trees, seen, left = modules("exposure_env"), set(), [name]
    while left:
        module = left.pop()
        seen.add(module)
        names = imports(trees[module], "exposure_env")
        assert not roots(names) & {"gymnasium", "gym"}, f"{name} by way of {module}"
        ours = {full.split(".")[1] for full in names if full.startswith("exposure_env.")}
        left += [other for other in ours if other in trees and other not in seen]


@pytest.mark.parametrize("package", PACKAGES)
def test_only_the_modules_meant_for_it_touch_files(package):
    found = {name: touches_files(tree) for name, tree in modules(package).items()}
    assert {name: names for name, names in found.items() if names and name not in FILES[package]} == {}
    assert package == "agents" or found["files"] and found["label_files"]  # the rule sees those that do


@pytest.mark.parametrize("package", PACKAGES)
def test_only_the_command_line_and_training_print(package):
    for name, tree in modules(package).items():
        assert name in TALKATIVE or not calls(tree) & {"print", "pprint", "sys.stdout.write", "sys.stderr.write"}, name


def test_examples_use_public_names_only():
    for path in sorted((ROOT / "examples").glob("*.py")):
        assert private_names(ast.parse(path.read_text("utf-8"))) == set(), path.name


def test_the_core_is_read_in_one_sitting():
    lines = {name: len((ROOT / "exposure_env" / f"{name}.py").read_text("utf-8").splitlines()) for name in CORE}
    assert sum(lines.values()) < 1000, lines
