"""Draws the house: which room imports which, read from the sources, so that the picture can't drift from the code.

python docs/draw_house.py (rewrites the pictures in docs/architecture.md)

A room is a module at the top of a package, or a wing: a folder with all its modules. An arrow means "imports"; arrows
that follow from others are left out. Imports inside functions and for types alone count as well.
"""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = ("exposure_env", "agents")


def sources(package: str, root: Path = ROOT) -> dict[str, ast.Module]:
    """Every module of a package and of all its wings, parsed, by its dotted name."""
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = parsed(path.read_text("utf-8"), str(path))
    return found


@cache
def parsed(source: str, name: str) -> ast.Module:
    """The syntax tree of a file's text; of the same text always the same, which nobody may change."""
    return ast.parse(source, name)


def imported(name: str, tree: ast.Module, known: set[str]) -> set[str]:
    """The modules among the known ones that a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            both = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (both & known) or {node.module}
            found |= {node.module} if both - known else set()
    return (found & known) - {name}


def room(module: str) -> str:
    """The room of a module: itself, or the wing that it lies in; "" for a package's own face."""
    return ".".join(module.split(".")[1:2])


def rooms(package: str, root: Path = ROOT) -> dict[str, set[str]]:
    """Every room of a package and the rooms of the same package that it imports."""
    trees = sources(package, root)
    arrows: dict[str, set[str]] = {room(name): set() for name in trees if room(name)}
    for name, tree in trees.items():
        if room(name):
            others = {room(other) for other in imported(name, tree, set(trees))}
            arrows[room(name)] |= others - {room(name), ""}
    return arrows


def floors(arrows: dict[str, set[str]]) -> dict[str, int]:
    """How many rooms lie below each one.

    Raises:
        ValueError: If rooms import each other in a circle.
    """
    level: dict[str, int] = {}
    while len(level) < len(arrows):
        ready = {name for name, below in arrows.items() if name not in level and below <= level.keys()}
        if not ready:
            raise ValueError(f"these rooms import each other in a circle: {sorted(arrows.keys() - level.keys())}")
        level |= {name: 1 + max((level[other] for other in arrows[name]), default=-1) for name in ready}
    return level


def without_detours(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """The arrows that don't follow from others."""

    def reached(start: str) -> set[str]:
        return set().union(*({other} | reached(other) for other in arrows[start]))

    return {name: {one for one in below if not any(one in reached(other) for other in below - {one})}
            for name, below in arrows.items()}


def picture(package: str) -> str:
    """The house of a package in Mermaid, ground stones at the bottom."""
    arrows = rooms(package)
    level = floors(arrows)
    wings = {path.name for path in (ROOT / package).iterdir() if (path / "__init__.py").exists()}
    lines = ["```mermaid", "flowchart TD"]
    for name in sorted(arrows, key=lambda name: (-level[name], name)):
        lines.append(f'    {name}["{name}/"]' if name in wings else f"    {name}({name})")
    for name, below in sorted(without_detours(arrows).items(), key=lambda item: (-level[item[0]], item[0])):
        lines += [f"    {name} --> {other}" for other in sorted(below)]
    return "\n".join([*lines, "```"])


def svg(package: str) -> str:
    """The same picture for the site, as SVG: floors from top to bottom, each room near those that it is tied to."""
    arrows = rooms(package)
    level, ties = floors(arrows), without_detours(arrows)
    ties = {name: below | {above for above in ties if name in ties[above]} for name, below in ties.items()}
    rows = [sorted(name for name in arrows if level[name] == floor) for floor in range(max(level.values()), -1, -1)]
    place = {name: (i + 0.5) / len(row) for row in rows for i, name in enumerate(row)}
    for _ in range(20):  # each room moves to the middle of its neighbours, as far as its floor has room
        for row in rows:
            row.sort(key=lambda name: sum(place[tie] for tie in ties[name]) / max(len(ties[name]), 1))
            place |= {name: (i + 0.5) / len(row) for i, name in enumerate(row)}
    wide, high, gap = 112, 26, 40  # of a room; between floors [px]
    width = max(map(len, rows)) * (wide + 14)
    at = {name: (place[name] * width, high + floor * (high + gap)) for floor, row in enumerate(rows) for name in row}
    lines = [f'<svg viewBox="0 0 {width} {len(rows) * (high + gap)}" role="img" aria-label="the rooms of {package}, '
             'and which imports which" xmlns="http://www.w3.org/2000/svg">']
    for name, below in sorted(without_detours(arrows).items()):
        for other in sorted(below):
            (x, y), (u, v) = at[name], at[other]
            lines.append(f'<path d="M{x:.0f} {y + high / 2:.0f} C{x:.0f} {y + high + gap / 2:.0f} {u:.0f} '
                         f'{v - high - gap / 2:.0f} {u:.0f} {v - high / 2:.0f}"/>')
    for name, (x, y) in at.items():
        lines.append(f'<rect x="{x - wide / 2:.0f}" y="{y - high / 2:.0f}" width="{wide}" height="{high}" rx="6"/>'
                     f'<text x="{x:.0f}" y="{y + 4:.0f}">{name}</text>')
    return "\n".join([*lines, "</svg>"])


def drawn(page: str) -> str:
    """The page with its pictures drawn anew."""
    for package in PACKAGES:
        start, end = f"<!-- house: {package} -->\n", "<!-- /house -->"
        before, rest = page.split(start)
        page = f"{before}{start}{picture(package)}\n{end}{rest.split(end, 1)[1]}"
    return page


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text("utf-8")), "utf-8")
