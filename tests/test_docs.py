"""What README and docs show is run here: their snippets as they stand, their addresses, their pictures."""

import contextlib
import importlib
import importlib.util
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest

from exposure_env import ExposureEnv, FolderPhotos, RetouchPlan, apply_plan, fusion
from exposure_env.files import ImageFile, save_image
from exposure_env.increments import is_additive

ROOT = Path(__file__).parents[1]
PAGES = {page: (ROOT / page).read_text("utf-8") for page in (
    "README.md", "docs/architecture.md", "docs/clients.md", "docs/equations.md", "docs/play.md", "docs/rewards.md",
    "examples/reading_the_curves.md")}
README, ARCHITECTURE = PAGES["README.md"], PAGES["docs/architecture.md"]
SHORTER = {"n_steps=32": "n_steps=4, batch_size=4", "20_000": "8", "learn(1024)": "learn(64)",
           ", 512)": ", 16)"}  # budgets, and nothing else
CHEAP = {"PPO(\"CnnPolicy\", ": "PPO(\"CnnPolicy\", n_steps=64, batch_size=32, n_epochs=1, env="}


def snippets(page):
    """The Python blocks of a page, each with the plain block that follows it directly, which is what it prints."""
    found = re.findall(r"```python\n(.*?)```\n(?:\n```\n(.*?)```)?", page, re.DOTALL)
    assert found
    return found


def executed(snippet, names):
    """What a snippet prints; its names are added to the others."""
    for long, short in {**SHORTER, **CHEAP}.items():
        snippet = snippet.replace(long, short)
    with contextlib.redirect_stdout(io.StringIO()) as told:
        exec(compile(snippet, "snippet", "exec"), names)
    return told.getvalue()


def section(title):
    """The snippet under a heading of docs/architecture.md; of fewer than ten lines, imports apart."""
    text = ARCHITECTURE.split(f"## {title}\n")[1].split("\n## ")[0]
    ((snippet, _),) = snippets(text)
    lines = [line for line in snippet.splitlines() if line and not line.startswith(("import ", "from "))]
    assert len(lines) < 10
    return snippet


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in that holds what the snippets ask for."""
    (tmp_path / "my" / "folder").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.jpg"):
        save_image(tmp_path / "my" / "folder" / name, ImageFile(rng.integers(0, 256, (80, 90, 3), np.uint8)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def equations():
    """The rows of docs/equations.md: number, line, file."""
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGES["docs/equations.md"].splitlines()
            if re.match(r"\| \d+ \|", line)]
    return [(int(number), line.strip("`"), file.removesuffix(" |").strip("`")) for number, _, line, file in rows]


def test_every_equation_of_the_paper_names_the_line_that_holds_it():
    found = equations()
    assert [number for number, *_ in found] == list(range(1, 17))
    for number, line, file in found:
        lines = [each.strip() for each in (ROOT / file).read_text("utf-8").splitlines()]
        assert lines.count(line) == 1, f"eq. {number}: {file} has this line {lines.count(line)} times: {line}"


@pytest.mark.parametrize("page", ["README.md", "docs/rewards.md"])
def test_the_snippets_of_a_page_run_one_after_the_other(page, folder, one_thread):
    names, shown = {}, 0
    for snippet, expected in snippets(PAGES[page]):
        told = executed(snippet, names)
        if expected:
            assert told == expected
            shown += 1
    assert shown >= 1 and len(FolderPhotos("my/folder")) == 2
    assert names["model"].num_timesteps >= 8


def test_the_paths_and_the_modules_that_pages_name_are_there():
    for page, text in PAGES.items():
        for place in set(re.findall(r"`((?:exposure_env|agents|examples|benchmarks|docs|tests)/[\w./*-]+)`", text)):
            assert list(ROOT.glob(place.rstrip("/"))), f"{page}: {place}"
        for place in set(re.findall(r"\]\(([\w./-]+)\)", text)):
            assert (ROOT / page).parent.joinpath(place).exists(), f"{page}: {place}"
        for script in set(re.findall(r"python ((?:examples|benchmarks|docs)/\w+\.py)", text)):
            assert (ROOT / script).exists(), f"{page}: {script}"
        for name in set(re.findall(r"`((?:exposure_env|agents)(?:\.\w+)+)`", text)):
            assert found(name), f"{page}: {name}"


def found(dotted):
    """Whether a dotted name can be imported, as a module or as something in one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        with contextlib.suppress(ImportError):
            thing = importlib.import_module(".".join(parts[:length]))
            for name in parts[length:]:
                if not hasattr(thing, name):
                    return False
                thing = getattr(thing, name)
            return True
    return False


def test_names_that_are_not_there_are_seen():
    assert found("agents.evaluation.compare") and found("exposure_env.photos")
    assert not found("agents.evaluation.comparee") and not found("agents.nowhere.compare")


def test_new_names_of_the_changelog_can_be_imported():
    table = (ROOT / "CHANGELOG.md").read_text("utf-8").split("| before | now |")[1]
    names = {name for line in table.splitlines() if line.startswith("| ") for name in
             re.findall(r"`((?:exposure_env|agents)(?:\.\w+)+)`", line.split("|")[2])}  # fmt: skip
    assert len(names) > 15
    for name in names:
        assert found(name), name


def test_the_pictures_of_the_house_are_those_of_the_sources():
    spec = importlib.util.spec_from_file_location("draw_house", ROOT / "docs" / "draw_house.py")
    house = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(house)
    assert house.drawn(ARCHITECTURE) == ARCHITECTURE, "run python docs/draw_house.py"
    assert ARCHITECTURE.count("-->") > 50


class TestAdding:
    """Each of the page's recipes, and whether what it adds is really used."""

    def test_a_reward_model(self):
        names = {}
        executed(section("Add a reward model"), names)
        env = names["env"].unwrapped
        env.reset(seed=0)
        terminated = False
        while not terminated:
            _, reward, terminated, _, info = env.step([0.2])
        assert info["score"] == pytest.approx(-abs(env.result().mean() - 0.46), abs=1e-5)
        assert reward == pytest.approx(info["score"] - info["input_score"])

    def test_a_rendering(self):
        try:
            executed(section("Add a rendering"), {})
            env = ExposureEnv(fusion="soft_masks")
            env.reset(seed=0)
            assert is_additive("soft_masks") and env.step([0.5])[0].shape == (64, 64, 12)
            photo = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
            labels = (np.arange(64) // 32).repeat(64).reshape(1, 64, 64).astype(np.int32)  # the upper half, the lower
            plan = RetouchPlan(labels[0], [1.0, -1.0], "soft_masks", {"feather": 3})
            hard = fusion.FUSIONS["local"](photo, labels, plan.evs[None].astype(np.float32))[0]
            assert 0.001 < np.abs(plan.render(photo[0]) - hard).mean() < 0.2  # softer, and not something else
            large = apply_plan(plan, np.full((300, 200, 3), 120, np.uint8))
            assert large[:5].min() > 140 > 100 > large[-5:].max()
            with pytest.raises(ValueError, match="'width'"):
                RetouchPlan(labels[0], [1.0, -1.0], "soft_masks", {"width": 3})
        finally:
            fusion.FUSIONS.pop("soft_masks", None)

    def test_an_agent(self):
        psnr = float(executed(section("Add an agent"), {}))
        assert 10 < psnr < 40

    def test_a_protocol(self, folder, one_thread):
        names = {}
        snippet = section("Add a protocol")
        small = ("replace(PRESETS[\"planes\"], total_timesteps=60, num_envs=4, n_batches=1, batch_size=4, width=4, "
                 "warm_up=1, n_critic=1, discriminator_batch_size=4, max_segments=3)")
        executed("from dataclasses import replace\n" + snippet.replace('PRESETS["planes"]', small), names)
        learned, untouched = names["results"]
        assert len(learned["curve"]) > 2 and learned["psnr"] > 5 and untouched["psnr"] == untouched["input_psnr"]
        assert os.path.exists("runs/mine/II.safetensors")
