"""The documentation site: it builds without a warning, and what its pages say of the code is so."""

import doctest
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from stable_baselines3.common.logger import configure

import agents
import exposure_env
from agents.training.curves import read_csv
from agents.vec_env import ExposureVecEnv
from exposure_env import ExposureEnv, sample_photos
from tests.pages import PAGES, blocks
from tests.repository import ROOT
from tests.training.small import HELD_OUT, TINY, log_of, run

DOCS = ROOT / "docs"
GLOSSARY = PAGES["docs/glossary.md"].split("## Other agents")[0]


def program(name):
    """A program in docs/, as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Page(HTMLParser):
    """The addresses on a page, the names that others can refer to, and what a browser would fetch."""

    def __init__(self, text):
        super().__init__()
        self.links, self.names, self.fetched = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.names |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in ("img", "script", "source", "video") and values.get("src"):
            self.fetched.append(values["src"])
        if tag == "link" and values.get("rel") not in ("canonical", "search", "index", "next", "prev"):
            self.fetched.append(values["href"])


@pytest.mark.timeout(900)  # twenty seconds of computing, but whatever else the machine is at
def test_the_site_builds_without_a_warning_and_hangs_together(tmp_path):
    """One test, so that one process builds it, once. The lessons are left as text: tests of their own run them."""
    for package in ("sphinx", "myst_parser", "furo", "sphinx_gallery"):
        pytest.importorskip(package, reason='the site is built by Sphinx: pip install -e ".[docs]"')
    source, site = tmp_path / "repository", tmp_path / "html"
    shutil.copytree(DOCS, source / "docs", ignore=shutil.ignore_patterns("lessons"))  # which are written into docs/
    for name in ("CHANGELOG.md", "CITATION.cff", "agents", "examples", "exposure_env"):
        (source / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "sphinx", "-W", "-b", "html", "-D", "plot_gallery=0", "-d", tmp_path / "trees",
               source / "docs", site]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=840, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]
    for page in PAGES:
        assert not page.startswith("docs/") or (site / page.removeprefix("docs/")).with_suffix(".html").exists(), page
    assert (site / "lessons" / "index.html").exists()
    assert (site / "algorithm.html").read_text("utf-8").count("<math") > 8
    house = (site / "architecture.html").read_text("utf-8")
    assert house.count("<svg viewBox") == 2 and "deep_exposure</text>" in house and "flowchart" not in house
    pages = {path: Page(path.read_text("utf-8")) for path in site.rglob("*.html")}
    assert dead_links(pages) == []
    assert [source for page in pages.values() for source in page.fetched if re.match(r"(https?:)?//", source)] == []
    assert sum(len(page.links) for page in pages.values()) > 500 < sum(len(page.fetched) for page in pages.values())


def dead_links(pages):
    """The internal links that lead nowhere, on parsed pages by their paths."""
    dead = []
    for path, page in pages.items():
        for link in page.links:
            place, _, anchor = unquote(link).partition("#")
            target = (path.parent / place).resolve() if place else path
            if not re.match(r"[a-z]+:", link) and not (target.exists() and (
                    not anchor or target not in pages or anchor in pages[target].names)):
                dead.append(f"{path.name}: {link}")
    return dead


def test_dead_links_are_seen(tmp_path):
    path = tmp_path / "a.html"
    path.write_text('<h1 id="top"><a href="#top">x</a><a href="a.html#low">x</a><a href="b.html">x</a>'
                    '<a href="https://example.org/">x</a>')
    assert dead_links({path: Page(path.read_text())}) == ["a.html: a.html#low", "a.html: b.html"]


class TestEnvironments:
    """Their pages are written by a program."""

    def test_pages_are_those_of_the_code(self):
        described = program("describe_environments")
        assert len(described.ids()) == 3
        for env_id in described.ids():
            name = described.file_name(env_id)
            assert described.page(env_id) == PAGES[f"docs/environments/{name}"], "run docs/describe_environments.py"

    def test_infos_have_the_keys_and_types_that_are_documented(self):
        described = program("describe_environments")
        told = {name: kind for name, kind, _ in described.listed(ExposureEnv.__doc__, "Info")}
        photos = sample_photos("inputs", 2)
        for info in described.played(ExposureEnv(photos, max_segments=3)):
            assert told.keys() - {"rewards"} == info.keys()
            for name, value in info.items():
                assert type(value).__name__.removeprefix("nd") in told[name], name
        parts = ExposureEnv(photos, reward_model={"psnr": 1.0, "entropy": 1.0}).reset(seed=0)[1]
        assert set(parts["rewards"]) == {"psnr", "entropy"} and parts.keys() <= told.keys()

    def test_every_setting_is_documented(self):
        described = program("describe_environments")
        fields = [name for name, *_ in described.commented(exposure_env.TaskConfig)]
        assert fields == list(exposure_env.TaskConfig.__dataclass_fields__)


def glossary():
    """Patterns of all names in the glossary; capitals stand for numbers and names."""
    names = re.findall(r"^\| `(\w+/\S+)` \|", GLOSSARY, re.MULTILINE)
    assert len(names) == len(set(names)) > 20
    return {name: re.compile(re.escape(name).replace("_N", r"_\d+").replace("_X", r"_[+-][\d.]+").replace(
        "/X", r"/[+-][\d.]+").replace("NAME", r"\w+") + "$") for name in names}


def logged(folder):
    """All that trainings log, of every kind that logs something of its own."""
    seen = set()
    kinds = {"II": {"value": "discriminator"}, "I": {"value": "critic", "demonstration_weight": 0.1, "warm_start": 1}}
    for name, settings in kinds.items():
        run(folder / name, replace(TINY, total_timesteps=40, **settings), held_out=HELD_OUT)
        seen |= log_of(folder / name).keys()
    env = ExposureVecEnv(num_envs=4, reward_model={"psnr": 1.0, "entropy": 1.0}, max_segments=1)
    model = agents.DeepExposure("CnnPolicy", env, n_batches=1, batch_size=4, max_slope=4.0)
    model.set_logger(configure(str(folder), ["csv"]))
    model.learn(8)
    return seen | read_csv((folder / "progress.csv").read_text()).keys()


def test_the_glossary_holds_every_logged_metric_and_no_other(tmp_path, one_thread):
    seen, known = logged(tmp_path), glossary()
    for name in seen:
        assert any(pattern.match(name) for pattern in known.values()), f"{name} is not in docs/glossary.md"
    for name, pattern in known.items():
        assert any(pattern.match(one) for one in seen), f"nothing logs {name}"


@pytest.mark.parametrize("package", [exposure_env, agents])
def test_every_public_name_is_in_the_api(package):
    text = "".join(text for page, text in PAGES.items() if page.startswith("docs/api/"))
    modules = [importlib.import_module(name) for name in re.findall(r"automodule:: (\S+)", text)]
    documented = [getattr(module, name) for module in modules for name in public(module)]
    for name in package.__all__:
        assert any(getattr(package, name) is thing for thing in documented), f"{package.__name__}.{name}"


def public(module):
    """The names that autodoc lists: those of `__all__`, or the documented ones that are the module's own."""
    return getattr(module, "__all__", None) or [
        name for name, thing in vars(module).items() if not name.startswith("_")
        and getattr(thing, "__module__", None) == module.__name__ and getattr(thing, "__doc__", None)]  # fmt: skip


def test_examples_in_docstrings_and_on_pages_give_what_they_show():
    finder, runner, found = doctest.DocTestFinder(), doctest.DocTestRunner(), 0
    for path in sorted((ROOT / "exposure_env").rglob("*.py")) + sorted((ROOT / "agents").rglob("*.py")):
        if ">>> " in path.read_text("utf-8"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found += sum(runner.run(test).attempted for test in finder.find(importlib.import_module(name)))
    for page, text in PAGES.items():
        for block in blocks(text):
            if block.kind == "pycon":
                found += runner.run(doctest.DocTestParser().get_doctest(block.text, {}, page, page, 0)).attempted
    assert runner.summarize(verbose=False).failed == 0 and found > 10
