"""The rules of the house, read from the sources themselves: what a room may import, touch and say."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("draw_house", ROOT / "docs" / "draw_house.py")
house = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(house)

# The house, floor by floor, from the ground up. A room imports only rooms of floors below its own.
FLOORS = {
    "exposure_env": [
        "acceleration drawing errors image parsing threads", "pyramid resizing", "files fusion",
        "episode photos segmentation", "decoding increments render retouch rewards settings",
        "kernels observations scenes", "task", "infos panels", "env vector white_box",
    ],
    "agents": [
        "arrays encoding errors exploration json_files locks planes playing serving startup stopping typed vec_env "
        "weights",
        "method networks segment_actor", "policy rewards",
        "baselines deep_exposure preferring rivals saved_agent",
        "animation evaluation retouching", "pictures", "training",
        "benchmark", "auditing", "playground", "commands", "cli",
    ],
}  # fmt: skip
PACKAGES = [*FLOORS]
LONGEST = 300  # lines of a file; of an example 80
LONG = {  # numba sees changes within one file only; and one file that is the whole method
    "exposure_env/kernels/blend.py", "examples/deep_exposure_single_file.py",
}  # fmt: skip
CORE = ("image", "fusion", "segmentation.segmenters", "rewards.model", "episode", "env")  # what a newcomer reads first
WITHOUT_GYMNASIUM = (
    "image", "pyramid", "fusion", "increments", "episode", "rewards", "segmentation", "photos", "files", "retouch",
    "kernels", "settings", "scenes", "task",
)  # fmt: skip
FILES = {
    "exposure_env.files.images", "exposure_env.files.raw", "exposure_env.files.regular", "exposure_env.files.whole",
    "exposure_env.photos.downloads", "exposure_env.photos.fivek_files", "exposure_env.photos.fivek_photos",
    "exposure_env.photos.fivek_making", "exposure_env.photos.folders", "exposure_env.rewards.scorer",
    "exposure_env.retouch.plan", "exposure_env.segmentation.label_files",
    "agents.benchmark.claims.tables", "agents.benchmark.fingerprints", "agents.benchmark.kept_pictures",
    "agents.benchmark.report.drawings", "agents.benchmark.report.pages", "agents.benchmark.report.pictures",
    "agents.benchmark.report.writing", "agents.benchmark.results", "agents.benchmark.sb3_settings",
    "agents.auditing.report", "agents.cli", "agents.commands.prefer", "agents.commands.retouch",
    "agents.evaluation.perceptual", "agents.json_files", "agents.pictures", "agents.playground.app",
    "agents.playground.uploads", "agents.preferring.page", "agents.rewards.preferences",
    "agents.retouching.batch", "agents.retouching.compiling", "agents.retouching.journal",
    "agents.training.checkpoints",
    "agents.training.run", "agents.training.run_folder", "agents.training.run_log", "agents.training.snapshots",
    "agents.weights",
}  # fmt: skip
TALKATIVE = {"agents.cli", "agents.commands.data", "agents.commands.play", "agents.commands.prefer",
             "agents.commands.retouch", "agents.commands.rewards"}

# What reads or writes files, by its last name; and where the last name means other things too, by its full name.
FILE_CALLS = {
    "open", "fdopen", "imread", "imwrite", "imsave", "imdecode", "imencode", "savefig", "fromfile", "tofile", "savez",
    "savez_compressed", "savetxt", "loadtxt", "genfromtxt", "memmap", "open_memmap", "read_text", "write_text",
    "read_bytes", "write_bytes", "mkdir", "makedirs", "unlink", "rename", "iterdir", "rglob", "touch", "rmdir",
    "rmtree", "copyfile", "copytree", "mkstemp", "mkdtemp", "TemporaryDirectory", "NamedTemporaryFile", "TemporaryFile",
    "listdir", "scandir", "read_small", "save_file", "load_file", "SummaryWriter", "urlopen", "urlretrieve",
}  # fmt: skip
FILE_CALLS_IN_FULL = {
    "os.remove", "os.replace", "os.walk", "shutil.move", "shutil.copy", "numpy.load", "np.load", "numpy.save",
    "np.save", "torch.load", "torch.save", "json.load", "json.dump", "pickle.load", "pickle.dump", "Image.open",
    "glob.glob",
}  # fmt: skip
BARE_VERBS = {
    "Add", "Apply", "Build", "Check", "Choose", "Compute", "Convert", "Create", "Cut", "Decode", "Draw", "Encode",
    "Ensure", "Fit", "Get", "Give", "Keep", "Load", "Look", "Make", "Play", "Raise", "Read", "Remove", "Render",
    "Return", "Run", "Save", "Set", "Show", "Start", "Stop", "Take", "Tell", "Turn", "Use", "Write", "Yield",
}  # fmt: skip


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


def too_high(package, root=ROOT):
    """Imports of a room on the same floor or above, "room -> other", in a package with the floors of ours."""
    floor = {room: number for number, floor in enumerate(FLOORS[package]) for room in floor.split()}
    return {f"{room} -> {other}" for room, others in house.rooms(package, root).items() for other in others
            if floor.get(other, 99) >= floor.get(room, -1)}  # fmt: skip


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


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_is_on_a_floor_and_imports_rooms_below_only(package):
    assert sorted(house.rooms(package)) == sorted(" ".join(FLOORS[package]).split())
    assert too_high(package) == set()


def test_a_new_file_in_a_wing_is_seen_and_so_are_imports_in_functions_and_for_types(tmp_path):
    wing = tmp_path / "exposure_env" / "photos" / "deeper"
    wing.mkdir(parents=True)
    (tmp_path / "exposure_env" / "task.py").write_text("")
    (tmp_path / "exposure_env" / "env.py").write_text("from exposure_env import task\n")
    (wing / "new.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from exposure_env.task import ExposureTask\n"
        "def f():\n    import exposure_env.env\n"
    )
    assert "exposure_env.photos.deeper.new" in house.sources("exposure_env", tmp_path)
    assert too_high("exposure_env", tmp_path) == {"photos -> task", "photos -> env"}


def test_circles_are_seen():
    assert house.floors({"a": {"b"}, "b": set()}) == {"b": 0, "a": 1}
    with pytest.raises(ValueError, match=r"in a circle: \['a', 'b'\]"):
        house.floors({"a": {"b"}, "b": {"a"}, "c": set()})


@pytest.mark.parametrize("package", PACKAGES)
def test_no_two_modules_import_each_other_in_a_circle(package):
    trees = house.sources(package)
    faces = {name for name in trees if any(other.startswith(f"{name}.") for other in trees)}
    imported = {name: house.imported(name, tree, set(trees)) - faces for name, tree in trees.items()}
    assert house.floors(imported).keys() == trees.keys()  # refuses circles, see above


def test_the_environments_import_neither_torch_nor_the_agents():
    """Except for one file, which is loaded when tensors are to be rendered, and Torch is there anyway."""
    for name, tree in house.sources("exposure_env").items():
        if name == "exposure_env.kernels.tensors":
            continue
        assert not roots(imports(tree, "exposure_env")) & {"torch", "torchvision", "stable_baselines3", "agents"}, name


@pytest.mark.parametrize("package", PACKAGES)
def test_wings_are_entered_by_their_faces(package):
    """But for the compiled twins, which know the insides of their definitions."""
    inside = {name: ".".join(name.split(".")[:2]) for name in house.sources("exposure_env") if name.count(".") > 1}
    for name, tree in house.sources(package).items():
        if not name.startswith("exposure_env.kernels"):
            wrong = {other for other in imports(tree) & inside.keys() if not name.startswith(inside[other])}
            assert wrong == set(), name


def test_definitions_know_of_their_twins_nothing_but_the_decorator():
    for name, tree in house.sources("exposure_env").items():
        if name.startswith("exposure_env.kernels") or name == "exposure_env.acceleration":
            continue
        fast = ("exposure_env.acceleration", "exposure_env.kernels")
        known = {full for full in imports(tree) if full.startswith(fast)}
        allowed = {"exposure_env.acceleration", "exposure_env.acceleration.accelerated"}
        if name == "exposure_env.retouch.apply":  # it asks how much memory there has to be
            allowed.add("exposure_env.acceleration.enabled")
        assert known <= allowed and not roots(imports(tree)) & {"numba", "llvmlite"}, name


def test_a_fresh_process_that_plays_an_episode_loads_no_torch():
    program = """
import sys
import gymnasium as gym
import exposure_env
for id in ("Exposure/Local-v0", "Exposure/Global-v0", "Exposure/WhiteBox-v0"):
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
    assert printed_by(program) == "['gymnasium']"


def test_retouching_loads_no_baselines_no_metrics_and_no_plots():
    program = """
import sys, tempfile
from pathlib import Path
import numpy as np
from agents.cli import main
from exposure_env.files import ImageFile, save_image
with tempfile.TemporaryDirectory() as place:
    save_image(Path(place) / "a.png", ImageFile(np.full((20, 30, 3), 90, np.uint8)))
    assert main(["retouch", f"{place}/a.png", "-o", f"{place}/out"]) == 0
    assert (Path(place) / "out" / "a.png").exists()
names = ("agents.baselines", "agents.evaluation", "agents.benchmark", "agents.training.run", "skimage.metrics",
         "matplotlib.pyplot")
print([name for name in names if name in sys.modules])
"""
    assert printed_by(program).splitlines()[-1] == "[]"


def test_the_face_of_the_agents_is_lazy_and_complete():
    program = """
import sys
import agents
assert "torch" not in sys.modules
from agents import DeepExposure, DiscriminatorReward, DiscriminatorTrainer, evaluate, load_agent, train
assert {DeepExposure.__name__, evaluate.__name__, train.__name__} == {"DeepExposure", "evaluate", "train"}
try:
    agents.missing
except AttributeError as error:
    print(error)
"""
    assert "has no attribute 'missing'" in printed_by(program)


def printed_by(program):
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("room", WITHOUT_GYMNASIUM)
def test_all_below_the_observations_know_nothing_of_gymnasium(room):
    arrows, seen, left = house.rooms("exposure_env"), set(), [room]
    while left:
        seen.add(left[-1])
        left += [other for other in arrows[left.pop()] if other not in seen]
    for name, tree in house.sources("exposure_env").items():
        if house.room(name) in seen:
            assert not roots(imports(tree, "exposure_env")) & {"gymnasium", "gym"}, f"{room} by way of {name}"


def test_only_the_modules_meant_for_it_touch_files():
    found = {name for package in PACKAGES for name, tree in house.sources(package).items() if touches_files(tree)}
    assert found == FILES


def test_only_the_command_line_prints():
    for package in PACKAGES:
        for name, tree in house.sources(package).items():
            said = calls(tree) & {"print", "pprint", "sys.stdout.write", "sys.stderr.write"}
            assert name in TALKATIVE or not said, name


def test_files_are_of_a_readable_length():
    """Lessons tell as much as they compute, and may be as long as modules."""
    folders = {"exposure_env": LONGEST, "agents": LONGEST, "benchmarks": LONGEST, "docs": LONGEST, "examples": 80,
               "examples/lessons": LONGEST}
    lines = {path.relative_to(ROOT).as_posix(): (len(path.read_text("utf-8").splitlines()), most)
             for folder, most in folders.items() for path in (ROOT / folder).rglob("*.py")
             if ROOT / "docs" / "lessons" not in path.parents}  # fmt: skip
    assert len(lines) > 80 and {name for name, (number, most) in lines.items() if number > most} == LONG


def test_examples_use_public_names_only():
    for path in sorted((ROOT / "examples").glob("*.py")):
        assert private_names(ast.parse(path.read_text("utf-8"))) == set(), path.name


def test_the_core_is_read_in_one_sitting():
    paths = [ROOT / "exposure_env" / f"{name.replace('.', '/')}.py" for name in CORE]
    assert sum(len(path.read_text("utf-8").splitlines()) for path in paths) < 1000


def test_docstrings_say_what_comes_out_in_one_mood_and_without_roles():
    """No imperatives: "The labels of ...", "Whether ...", "Writes ...". What a command does is told in its own way."""
    for package in PACKAGES:
        for name, tree in house.sources(package).items():
            for node in ast.walk(tree):
                if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and (text := ast.get_docstring(node)):
                    where = f"{name}.{getattr(node, 'name', '')}"
                    commands = isinstance(node, ast.ClassDef) and name in TALKATIVE
                    assert commands or text.split()[0].rstrip(".,:") not in BARE_VERBS, where
                    assert "``" not in text and not re.search(r":(class|func|meth|mod):`", text), where
