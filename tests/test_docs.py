"""What README and docs show is run here: snippets as they stand, addresses, pictures, error messages."""

import ast
import contextlib
import importlib
import importlib.util
import os
import re

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO

import exposure_env
from exposure_env import ExposureEnv, FolderPhotos, RetouchPlan, apply_plan, fusion
from exposure_env.files import ImageFile, save_image
from exposure_env.increments import is_additive
from tests.pages import PAGES, blocks, executed, run_page
from tests.repository import ROOT

ARCHITECTURE, FAQ = PAGES["docs/architecture.md"], "docs/faq.md"
SEPARATELY = {FAQ, "docs/benchmarks.md", "examples/clients/imitation.md"}  # below, and in test_clients.py
RUN = sorted(page for page, text in PAGES.items() if page not in SEPARATELY
             and any(block.kind == "python" for block in blocks(text)))


def section(page, title):
    """The snippet under a heading of a page; of fewer than ten lines, imports apart."""
    text = PAGES[page].split(f"## {title}\n")[1].split("\n## ")[0]
    snippet = next(block.text for block in blocks(text) if block.kind == "python")
    lines = [line for line in snippet.splitlines() if line and not line.startswith(("import ", "from "))]
    assert len(lines) < 10
    return snippet


@pytest.fixture(autouse=True)
def renderings():
    """Those that were there before: a page adds one."""
    before = dict(fusion.FUSIONS)
    yield
    fusion.FUSIONS.clear()
    fusion.FUSIONS.update(before)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in that holds what the snippets ask for."""
    (tmp_path / "my" / "folder").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.jpg"):
        save_image(tmp_path / "my" / "folder" / name, ImageFile(rng.integers(0, 256, (80, 90, 3), np.uint8)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", RUN)
def test_the_snippets_of_a_page_run_one_after_the_other(page, folder, one_thread):
    names = run_page(page)
    assert len(FolderPhotos("my/folder")) == 2
    if page in ("README.md", "docs/rewards.md", "docs/own_agent.md"):
        assert names["model"].num_timesteps >= 8


def test_nearly_all_python_on_the_pages_is_run():
    kinds = [block.kind for page in PAGES for block in blocks(PAGES[page]) if page not in SEPARATELY - {FAQ}]
    assert kinds.count("python") > 25 and kinds.count("python raises") > 12
    assert {kind for kind in kinds if kind.startswith("py")} <= {"python", "python raises", "python notest", "pycon"}
    assert kinds.count("python notest") <= 3


def test_the_readme_is_short():
    assert len(PAGES["README.md"].splitlines()) < 200


class TestErrorMessages:
    """Those of the page of questions are real."""

    def test_what_raises_them_raises_them(self, folder, monkeypatch):
        names, told = {"exposure_env": exposure_env}, 0
        for block, message in zip(blocks(PAGES[FAQ]), blocks(PAGES[FAQ])[1:], strict=False):
            if block.kind == "python raises":
                with monkeypatch.context() as patched:
                    if not told:  # the first is of a process that has not imported the package
                        for env_id in [env_id for env_id in gym.registry if env_id.startswith("Exposure/")]:
                            patched.delitem(gym.registry, env_id)
                    with pytest.raises(Exception) as raised:  # noqa: B017 - compared below, type and words
                        executed(block.text, names)
                assert message.kind == "text" and message.follows
                words = ".*".join(map(re.escape, message.text.strip().split("...")))
                assert re.match(words, f"{raised.type.__name__}: {raised.value}"), f"{raised.value!r}, not {words}"
                told += 1
        assert told > 12

    def test_the_others_are_in_the_sources(self):
        """Where no lines raise them there: a message is one of the sources', with something in place of each value."""
        patterns = messages()
        for before, block in zip([None, *blocks(PAGES[FAQ])], blocks(PAGES[FAQ]), strict=False):
            if block.kind == "text" and not (before is not None and before.kind == "python raises"):
                words = block.text.strip().split(": ", 1)[1]
                assert any(pattern.match(words) for pattern in patterns), words

    def test_a_message_that_is_not_there_is_seen(self):
        assert not any(pattern.match("the moon is not a photo: give a photo") for pattern in messages())
        assert any(pattern.match("nowhere is not a folder") for pattern in messages())


def messages():
    """Patterns of all messages of our own errors: texts with placeholders."""
    found = []
    for path in (path for package in ("exposure_env", "agents") for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[-1], ast.JoinedStr | ast.Constant):
                parts = node.args[-1].values if isinstance(node.args[-1], ast.JoinedStr) else [node.args[-1]]
                texts = [str(part.value) if isinstance(part, ast.Constant) else None for part in parts]
                if sum(len(text or "") for text in texts) > 12:
                    found.append(re.compile("".join(".+" if text is None else re.escape(text) for text in texts)))
    return found


def equations():
    """The rows of docs/equations.md: number, line, file."""
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")]
            for line in PAGES["docs/equations.md"].splitlines() if re.match(r"\| \d+ \|", line)]
    return [(int(number), line.strip("`"), file.removesuffix(" |").strip("`")) for number, _, line, file in rows]


def test_every_equation_of_the_paper_names_the_line_that_holds_it():
    found = equations()
    assert [number for number, *_ in found] == list(range(1, 17))
    for number, line, file in found:
        lines = [each.strip() for each in (ROOT / file).read_text("utf-8").splitlines()]
        assert lines.count(line) == 1, f"eq. {number}: {file} has this line {lines.count(line)} times: {line}"


@pytest.mark.parametrize("page", sorted(PAGES.keys() - {"CHANGELOG.md"}))  # which tells of what was
def test_the_paths_and_the_modules_that_a_page_names_are_there(page):
    text = PAGES[page]
    for place in set(re.findall(r"`((?:exposure_env|agents|examples|benchmarks|docs|tests)/[\w./*-]+)`", text)):
        assert list(ROOT.glob(place.rstrip("/"))), f"{page}: {place}"
    for place, _, anchor in set(re.findall(r"\]\(((?!http)[\w./-]*)(#([\w-]+))?\)", text)):
        target = (ROOT / page).parent / place if place else ROOT / page
        assert target.exists(), f"{page}: {place}"
        assert not anchor or anchor in anchors(target.read_text("utf-8")), f"{page}: {place}#{anchor}"
    for script in set(re.findall(r"python ((?:examples|benchmarks|docs)/\w+\.py)", text)):
        assert (ROOT / script).exists(), f"{page}: {script}"
    for name in set(re.findall(r"`((?:exposure_env|agents)(?:\.\w+)+)`", text)):
        assert found(name), f"{page}: {name}"


def anchors(text):
    """The headings of a page, as links name them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


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
    """Each of the guides' recipes, and whether what it adds is really used."""

    def test_a_reward_model(self):
        names = {}
        executed(section("docs/rewards.md", "Add a reward model"), names)
        env = names["env"].unwrapped
        env.reset(seed=0)
        terminated = False
        while not terminated:
            _, reward, terminated, _, info = env.step([0.2])
        assert info["score"] == pytest.approx(-abs(env.result().mean() - 0.46), abs=1e-5)
        assert reward == pytest.approx(info["score"] - info["input_score"])

    def test_a_rendering(self):
        executed(section("docs/own_rendering.md", "Add a rendering"), {})
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

    def test_an_agent(self):
        psnr = float(executed(section("docs/own_agent.md", "Add an agent"), {}))
        assert 10 < psnr < 40

    def test_a_protocol(self, folder, one_thread):
        names = {}
        snippet = section("docs/benchmarks.md", "Add a protocol")
        small = ("replace(PRESETS[\"planes\"], total_timesteps=60, num_envs=4, n_batches=1, batch_size=4, width=4, "
                 "warm_up=1, n_critic=1, discriminator_batch_size=4, max_segments=3)")
        executed("from dataclasses import replace\n" + snippet.replace('PRESETS["planes"]', small), names)
        learned, untouched = names["results"]
        assert len(learned["curve"]) > 2 and learned["psnr"] > 5 and untouched["psnr"] == untouched["input_psnr"]
        assert os.path.exists("runs/mine/II.safetensors")

    def test_an_own_agent_in_the_benchmark(self, folder, one_thread):
        page, names = PAGES["docs/benchmarks.md"], {}
        (folder / "mine.py").write_text(next(block.text for block in blocks(page) if "def brighten" in block.text))
        env = gym.make("Exposure/Local-v0")
        PPO("CnnPolicy", env, policy_kwargs={"features_extractor_kwargs": {"features_dim": 4}}).save("ppo.zip")
        told = executed(section("docs/benchmarks.md", "Enter your own agent"), names)
        assert told.splitlines()[1].startswith("PPO ") and told.splitlines()[2].startswith("gamma ")
        snippet = section("docs/benchmarks.md", "On many machines").replace("seeds=[0, 1, 2]", '["identity"]')
        assert executed(snippet, {"__name__": "__main__"}) == "identity-seed0 is finished\n"
        assert [row.method for row in names["table"].rows] == ["PPO", "gamma"]
        executed(section("docs/benchmarks.md", "The report"), {})
        assert {"system-ppo.html", "system-gamma.html"} <= {path.name for path in (folder / "report").iterdir()}
