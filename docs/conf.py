"""The settings of the documentation site: python -m sphinx -W -b html docs build/site.

Nothing is fetched: fonts, search and formulas (as MathML) are in the pages. Two switches are for those who build it:

- -D plot_gallery=0 leaves the lessons as text instead of running them, which takes minutes;
- DOCS_INTERSPHINX=1 in the environment links names to the documentation of other projects, which needs a network.
"""

import os
import re
import sys
from html import escape
from pathlib import Path

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util.logging import getLogger
from sphinx.writers.html5 import HTML5Translator

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(DOCS)]

import draw_house  # noqa: E402 - it is found only now
from describe_environments import commented  # noqa: E402

from exposure_env import __version__  # noqa: E402

logger = getLogger(__name__)
project, author, release = "DeepExposure, locally", "The deepexposure-gym contributors", __version__
project_copyright = author
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_gallery.gen_gallery"]
exclude_patterns = ["lessons/*.ipynb", "lessons/*.py"]    # to be downloaded, not read
language = "en"
default_role = "code"    # docstrings put names between single backquotes

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3    # links to #headings as on GitHub

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_use_rtype = False
python_maximum_signature_line_length = 80

html_theme = "furo"
html_title = project
html_static_path = ["static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
pygments_style, pygments_dark_style = "friendly", "native"


def as_if_alone(gallery: dict, name: str) -> None:
    """Undoes what a lesson may have set for itself: here they all run in one process."""
    import torch

    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)


sphinx_gallery_conf = {
    "examples_dirs": "../examples/lessons",
    "gallery_dirs": "lessons",
    "filename_pattern": r"/lesson_",
    "ignore_pattern": r"exercises|__init__\.py",
    "within_subsection_order": "FileNameSortKey",    # the order of reading
    "reset_modules": ("matplotlib", as_if_alone),
    "copyfile_regex": r"$^",
    "download_all_examples": False,
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "write_computation_times": False,    # whose page would fetch scripts
}
suppress_warnings = ["config.cache"]    # functions among the settings

if os.environ.get("DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "gymnasium": ("https://gymnasium.farama.org", None),
        "stable_baselines3": ("https://stable-baselines3.readthedocs.io/en/master", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
    }


def as_mathml(translator: HTML5Translator, node: nodes.Element) -> None:
    """Writes a formula as MathML, which browsers know: no script, no font, nothing to fetch."""
    block = isinstance(node, nodes.math_block)
    formula = re.sub(r"\\(begin|end)\{(split|aligned?)\*?\}", "", node.astext())
    formula = re.sub(r"\\[Bb]igg?(?![A-Za-z])", "", formula).replace(r"\dots", r"\ldots")    # unknown to docutils
    formula = rf"\begin{{aligned}}{formula}\end{{aligned}}" if block and "&" in formula else formula
    try:
        written = tex2mathml(formula.strip(), as_block=block)
    except MathError as error:
        logger.warning("%s: in the formula %s", error, formula, location=node)
        written = f"<code>{escape(formula)}</code>"
    translator.body.append(f'<div class="formula">{written}</div>' if block else written)
    raise nodes.SkipNode


def as_in_the_repository(app: Sphinx, name: str, source: list[str]) -> None:
    """Makes of a page that reads well in the repository one that Sphinx reads as well.

    The houses are drawn as SVG, since Mermaid would need a script to be fetched. Links to Markdown files outside docs/
    become downloads.
    """
    if name == "architecture":
        source[0] = re.sub(r"<!-- house: (\w+) -->.*?<!-- /house -->", lambda found: (
            f'<div class="house">\n{draw_house.svg(found[1])}\n</div>'), source[0], flags=re.DOTALL)
    source[0] = re.sub(r"\]\((\.\./[\w./-]+\.md)\)", r"](path:\1)", source[0])


def as_rst(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Adds the comments on a class's fields to its docstring, and hides from Sphinx what only looks like its markup."""
    lines[:] = [re.sub(r"(`[^`]+`)(?=\w)", r"\1\\ ", line).replace("|", "\\|") for line in lines]
    if what == "class" and "Attributes:" not in lines and (fields := list(commented(thing))):
        lines += ["", "Attributes:", *(f"    {field} ({kind}): {comment}" + f" (default {default})" * bool(default)
                                       for field, kind, default, comment in fields), ""]


def without_fields(app: Sphinx, what: str, name: str, thing: object, skip: bool, options: object) -> bool | None:
    """Leaves out the fields of tuples, which are told of with their class."""
    return True if (getattr(thing, "__doc__", "") or "").startswith("Alias for field number") else None


def setup(app: Sphinx) -> None:
    """What Sphinx calls when it begins."""
    app.add_html_math_renderer("mathml", (as_mathml, None), (as_mathml, None))
    app.connect("source-read", as_in_the_repository)
    app.connect("autodoc-process-docstring", as_rst, priority=400)    # before napoleon
    app.connect("autodoc-skip-member", without_fields)
