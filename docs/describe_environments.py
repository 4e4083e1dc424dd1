"""Writes a page for each registered environment, from its spec, its spaces, its settings and its docstrings.

python docs/describe_environments.py (rewrites docs/environments/*.md, but for the index)

A test fails where a page has drifted.
"""

import inspect
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import gymnasium as gym

import exposure_env
from exposure_env import white_box
from exposure_env.episode import LAYOUT
from exposure_env.settings import TASK_PRESETS, TaskConfig

DOCS = Path(__file__).resolve().parent
ABOUT = {
    "Exposure/Local-v0": "The photo is cut into segments, up to eight of them. Each step exposes one segment, in a "
    "fixed order, and after the last one the result is blended and scored.",
    "Exposure/Global-v0": "The whole photo is one segment, and one step exposes it. An episode is a single decision: a "
    "contextual bandit, for teaching and for first experiments.",
    "Exposure/WhiteBox-v0": "The whole photo goes through one of eight filters per step, five of them by default, each "
    "named and with parameters that a person can read: the decision process of *Exposure: A White-Box Photo "
    "Post-Processing Framework* (Hu et al., 2018), to compare with.",
}
VERSIONS = {
    "Exposure/Local-v0": {"v0": "First version."},
    "Exposure/Global-v0": {"v0": "First version."},
    "Exposure/WhiteBox-v0": {"v0": "First version."},
}
PARTS = {
    "photo": "the untouched photo, S_0", "segment": "the segment whose turn it is, the rest black",
    "local": "the image so far; in the last observation the finished blend", "mask": "where that segment is",
    "exposed": "where segments have been exposed", "progress": "fraction of the steps taken",
}  # fmt: skip

WHITE_BOX_PARTS = {
    "image": "the image so far", "steps_left": "fraction of the steps that are left",
    "used": "for each filter, in the order above, whether it was used",
}  # fmt: skip


def ids() -> list[str]:
    """All registered ids of the package, from short episodes to long ones last."""
    return sorted((name for name in gym.registry if name.startswith("Exposure/")), reverse=True)


def file_name(env_id: str) -> str:
    """The name of an environment's page, without folder."""
    return env_id.lower().replace("/", "_").replace("-", "_") + ".md"


def commented(cls: type) -> Iterator[tuple[str, str, str, str]]:
    """The fields of a class as its source documents them: name, type, default ("" for none) and comment."""
    try:
        source = inspect.getsource(cls)
    except (OSError, TypeError):    # a type that isn't written as a class
        return
    for line in source.splitlines():
        if found := re.fullmatch(r"    (\w+): (.+?)(?: = (.+?))?  # (.+)", line):
            yield tuple(part or "" for part in found.groups())


def paragraph(text: str, opening: str) -> str:
    """The paragraph of a docstring that begins with a word, without that word, in one line."""
    (found,) = (block for block in inspect.cleandoc(text).split("\n\n") if block.startswith(opening))
    line = " ".join(found.split()).removeprefix(opening).lstrip(":, ")
    return line[0].upper() + line[1:]


def listed(text: str, opening: str) -> Iterator[tuple[str, str, str]]:
    """The entries of the list in a docstring that follows a line: name, type, and what it is."""
    (found,) = (after for before, after in pairwise(inspect.cleandoc(text).split("\n\n")) if before.startswith(opening))
    for name, kind, told in re.findall(r'^- "(\w+)" \((.+?)\): (.+(?:\n  .+)*)', found, re.MULTILINE):
        yield name, kind, " ".join(told.split())


def section(text: str, title: str) -> dict[str, str]:
    """The entries of a section of a Google docstring, such as its arguments, each in one line."""
    body = re.search(rf"^{title}:\n((?:    .*\n?|\n)+)", inspect.cleandoc(text), re.MULTILINE)[1]
    entries = re.findall(r"^    ([\w*]+): (.+(?:\n     +.+)*)", body, re.MULTILINE)
    return {name: " ".join(told.split()) for name, told in entries}


def table(*rows: tuple[str, ...]) -> str:
    """Rows of cells in Markdown; the first is the head."""
    lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in [lines[0], " | ".join("---" for _ in rows[0]), *lines[1:]])


def code(thing: object) -> str:
    """Something between backquotes."""
    return f"`{thing}`"


def observations(env_id: str) -> str:
    """The spaces for each kind of observation, and what the planes are."""
    rows = [("`obs_type`", "`planes=\"full\"`, the default", "`planes=\"paper\"`")]
    for kind in ("uint8", "float32"):
        spaces = [gym.make(env_id, obs_type=kind, planes=planes).observation_space for planes in ("full", "paper")]
        rows.append((code(f'"{kind}"'), *map(code, spaces)))
    rows.append((code('"dict"'), "a `Dict` of the parts below", "a `Dict` of the first three"))
    parts = gym.make(env_id, obs_type="dict").observation_space
    planes = [(code(f"[..., {where.start}:{where.stop}]"), code(f'"{name}"'), code(parts[name]), PARTS[name])
              for name, where in LAYOUT.items()]
    return "\n\n".join([table(*rows), table(("planes of the array", "part of the dict", "its space", "what it shows"),
                                            *planes)])


def shown(value: object) -> str:
    """An example of a value, as an info table has it."""
    return code(f"{value:.4g}" if isinstance(value, float) else value)


def played(env: gym.Env, action: list[float] | None = None) -> list[dict]:
    """The infos of an episode, from the reset to the last step, all of them with one action."""
    told, done = [env.reset(seed=1)[1]], False
    while not done:
        _, _, done, _, info = env.step([0.25] if action is None else action)
        told.append(info)
    return told


def page(env_id: str) -> str:
    """The page of an environment, in Markdown."""
    white = type(gym.make(env_id).unwrapped) is white_box.WhiteBoxEnv
    return page_of_white_box(env_id) if white else page_of_segments(env_id)


def page_of_segments(env_id: str) -> str:
    """The page of an environment in which segments are exposed."""
    spec, env, plain = gym.spec(env_id), gym.make(env_id), exposure_env.ExposureEnv
    told, own = inspect.getdoc(plain), {name: repr(value) for name, value in spec.kwargs.items()}
    episode = played(env)
    ends = episode[0], episode[-1]
    picture = f"../images/{re.search(r'/(.+)-v', env_id)[1].lower()}.gif"
    signature = inspect.signature(plain.__init__).parameters
    described = section(told, "Args")
    arguments = [(code(name), described[name], code(repr(signature[name].default)))
                 for name in described if name != "**settings"]
    settings = [(code(name), f"{comment[0].upper()}{comment[1:]}. {code(kind)}", code(own.get(name, default)))
                for name, kind, default, comment in commented(TaskConfig)]
    keys = [(code(name), kind, sentence, *(shown(info[name]) if name in info else "" for info in ends))
            for name, kind, sentence in listed(told, "Info")]
    options = [(code(name), *about) for name, *about in listed(told, "Options of")]
    options += [(code(name), f"{kind}, of vector environments only", sentence) for name, kind, sentence in
                listed(exposure_env.ExposureVectorEnv.__doc__, "Options of") if name == "reset_mask"]
    paper, usual = TASK_PRESETS["paper"], TASK_PRESETS["recommended"]
    literal = [code(f"{name}={getattr(paper, name)!r}") for name, *_ in commented(TaskConfig)
               if getattr(paper, name) != getattr(usual, name)]
    return "\n\n".join([
        f"# {env_id}",
        "<!-- Written by docs/describe_environments.py: change the docstrings and run it again. -->",
        f"![An episode of {env_id}]({picture})",
        ABOUT[env_id],
        table(("", ""), ("Action space", code(env.action_space)), ("Observation space", code(env.observation_space)),
              ("Steps of an episode", f"1 to {env.unwrapped.task.config.max_segments}"
               if env.unwrapped.task.config.max_segments > 1 else "1"),
              ("Time limit", "none" if spec.max_episode_steps is None else str(spec.max_episode_steps)),
              ("Make it", code(f'gym.make("{env_id}")')),
              ("Many at once", code(f'gym.make_vec("{env_id}", num_envs=64)'))),
        "## Action space", paragraph(told, "Action"),
        "## Observation space", paragraph(told, "Observation"), observations(env_id),
        "## Reward", paragraph(told, "Reward"),
        "## Starting an episode", inspect.getdoc(plain.reset).splitlines()[0],
        table(("key of `options`", "type", "what it is"), *options),
        "## End of an episode", "`terminated` with the last segment; never `truncated`. A step after the end, or "
        "before the first reset, is a ValueError.",
        "## Info", "The same keys from the reset to the last step. In a vector environment each is an array with a row "
        "for every environment, and beside it is a mask, `_score` beside `score`. The examples are of "
        "`reset(seed=1)` and `step([0.25])` to the end.",
        table(("key", "type", "what it is", "at the reset", "at the end"), *keys),
        "## Arguments", "Of `gym.make`, `gym.make_vec`, `ExposureEnv` and `ExposureVectorEnv` alike:",
        table(("argument", "what it is", "default"), *arguments),
        "The settings of the task, `exposure_env.TaskConfig`, are arguments, too:",
        table(("setting", "what it is", "default"), *settings),
        f"`preset=\"paper\"` takes the paper's literal choices: {', '.join(literal)}.",
        "## Pictures", "`render_mode=\"rgb_array\"`: " + " ".join(inspect.getdoc(plain.render).split()) +
        "\n\n`render_mode=\"human\"` shows it in a window, through Gymnasium's wrapper (`pip install pygame-ce`).",
        "## Versions", table(("version", "what changed"), *VERSIONS[env_id].items()),
        "The number rises only when returns stop being comparable.",
    ]) + "\n"


def page_of_white_box(env_id: str) -> str:
    """The page of an environment in which filters are applied."""
    spec, env, plain = gym.spec(env_id), gym.make(env_id), white_box.WhiteBoxEnv
    told, ends = inspect.getdoc(plain), played(env, [0.0, 1.0] + [0.0] * 7 + [-0.25] + [0.0] * 37)
    signature, described = inspect.signature(plain.__init__).parameters, section(told, "Args")
    filters = [(str(number), code(name), code(f"[{where.start}:{where.stop}]"), f"{one.low:.4g} to {one.high:.4g}",
                inspect.getdoc(one.apply).splitlines()[0], section(one.apply.__doc__, "Args")["parameters"])
               for number, (name, one) in enumerate(white_box.FILTERS.items()) for where in [white_box.PLACES[name]]]
    keys = [(code(name), kind, sentence, *(shown(info[name]) if kind in ("int", "float") else ""
                                           for info in (ends[0], ends[-1])))
            for name, kind, sentence in listed(told, "Info")]
    dictionary = gym.make(env_id, action_type="dict").action_space
    planes = [(code(f"[..., {where.start}:{where.stop}]"), WHITE_BOX_PARTS[name])
              for name, where in white_box.LAYOUT.items()]
    return "\n\n".join([
        f"# {env_id}",
        "<!-- Written by docs/describe_environments.py: change the docstrings and run it again. -->",
        ABOUT[env_id],
        table(("", ""), ("Action space", code(env.action_space)), ("with `action_type=\"dict\"`", code(dictionary)),
              ("Observation space", code(env.observation_space)),
              ("Steps of an episode", str(env.unwrapped.max_steps)),
              ("Time limit", "none" if spec.max_episode_steps is None else str(spec.max_episode_steps)),
              ("Make it", code(f'gym.make("{env_id}")')),
              ("Many at once", code(f'gym.make_vec("{env_id}", num_envs=8)') + ", one after the other")),
        "## Action space", paragraph(told, "Action"),
        "## Filters", paragraph(white_box.filters.__doc__, "Form"),
        paragraph(white_box.filters.__doc__, "Values"),
        table(("number", "filter", "places among the parameters", "range", "what comes out", "parameters"), *filters),
        "## Observation space", paragraph(told, "Observation"), table(("planes", "what they show"), *planes),
        "## Reward", paragraph(told, "Reward"),
        "## Where it differs from the paper", paragraph(told, "Unlike the paper"),
        "## Starting an episode", inspect.getdoc(plain.reset).splitlines()[0],
        table(("key of `options`", "type", "what it is"),
              *((code(name), *about) for name, *about in listed(told, "Options of"))),
        "## End of an episode", "`terminated` after `max_steps` filters; never `truncated`. A step after the end, or "
        "before the first reset, is a ValueError.",
        "## Info", "The same keys from the reset to the last step. The examples are of `reset(seed=1)` and gamma "
        "(filter 1) at a quarter below the middle of its range, five times.",
        table(("key", "type", "what it is", "at the reset", "at the end"), *keys),
        "## Arguments", "Of `gym.make`, `gym.make_vec` and `WhiteBoxEnv` alike:",
        table(("argument", "what it is", "default"),
              *((code(name), described[name], code(repr(signature[name].default))) for name in described)),
        "## Pictures", "`render_mode=\"rgb_array\"`: " + " ".join(inspect.getdoc(plain.render).split()),
        "## Versions", table(("version", "what changed"), *VERSIONS[env_id].items()),
        "The number rises only when returns stop being comparable.",
    ]) + "\n"


def main() -> None:
    """Writes the pages."""
    for env_id in ids():
        (DOCS / "environments" / file_name(env_id)).write_text(page(env_id), "utf-8")


if __name__ == "__main__":
    main()
