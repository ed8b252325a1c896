"""How the documentation is built:  make docs.  Nothing is fetched; the gallery is run."""

import re
import sys
import warnings
from importlib import metadata
from pathlib import Path

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

project = "tokenlaw"
author = "the authors of tokenlaw"
version = release = metadata.version("tokenlaw")

extensions = [
    "myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]  # fmt: skip
templates_path = ["_templates"]
exclude_patterns = [
    "_build",
    "_templates",
    "paper",
    "gallery/*.py",
    "gallery/*.md5",
    "gallery/*.ipynb",
    "sg_execution_times.rst",
    "gallery/sg_*",
]
suppress_warnings = [
    "ref.python",  # d, points, law: attributes of many classes, meant as words
    "config.cache",  # the gallery is configured with functions
]
default_role = "code"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

autosummary_generate = True
autodoc_typehints = "none"  # shapes and meanings stand in the docstrings
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_ivar = True
autodoc_default_options = {"members": True, "undoc-members": False}


html_theme = "pydata_sphinx_theme"
html_title = f"tokenlaw {release}"
html_static_path = []
html_show_sourcelink = False
html_theme_options = {
    "navigation_depth": 2, "show_toc_level": 2, "header_links_before_dropdown": 6, "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"], "footer_end": [],
}  # fmt: skip
html_sidebars = {"*": [], "gallery/*": ["sidebar-nav-bs"], "api/*": ["sidebar-nav-bs"]}


def figures_of_the_script(block, block_vars, gallery_conf):
    """Save the figures that a block has bound to names, each once; they belong to no window."""
    seen = block_vars.setdefault("figures_seen", set())
    paths = []
    for value in list(block_vars["example_globals"].values()):
        if isinstance(value, Figure) and id(value) not in seen:
            seen.add(id(value))
            path = next(block_vars["image_path_iterator"])
            value.savefig(path, dpi=130)
            paths.append(path)
    return figure_rst(paths, gallery_conf["src_dir"])


sphinx_gallery_conf = {
    "examples_dirs": str(HERE.parent / "examples" / "gallery"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "image_scrapers": (figures_of_the_script,),
    "reset_modules": ("matplotlib",),
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1,
    "within_subsection_order": "FileNameSortKey",
    "remove_config_comments": True,
}
warnings.filterwarnings("ignore", category=DeprecationWarning)

CODE = re.compile(r"(``.+?``|`[^`]+`)")
SPECIAL = re.compile(r"([|*]|(?<=\w)_(?!\w)|^\((?=\w\)))")


def as_plain_text(app, what, name, obj, options, lines):
    """Docstrings are plain text with backticks: |A|, a*b and names_ that end in _ mean no more than they say.

    In the docstring of a module an indented block behind an empty line is an equation, which keeps its lines; other
    indented lines go on with their paragraph.  What stands behind a \\b, in the help of a command, keeps its lines too.
    """
    found, equation = [], False
    if kept := "\b" in lines:
        place = lines.index("\b")
        lines[place:] = ["::", "", *(f"  {line}" for line in lines[place + 1 :])]
    for line in lines:
        indented = what == "module" and line.startswith("  ")
        if indented and not equation and found and not found[-1]:
            equation = True
            found += ["::", ""]
        elif equation and line and not indented:
            equation = False
        if equation or (kept and line.startswith("  ")) or line.lstrip().startswith((">>>", "...")):
            found.append(line)
        else:
            parts = CODE.split(line.lstrip() if indented else line)
            parts[::2] = [SPECIAL.sub(r"\\\1", part) for part in parts[::2]]
            found.append("".join(parts))
    lines[:] = found


def optional_pages(app, docname, source):
    """In tables of contents a name with a star may be that of no page."""
    if docname == "index":
        source[0] = re.sub(
            r"^(\w+\*)\n", lambda found: found[0] * any(HERE.glob(found[1] + ".md")), source[0], flags=re.M
        )


def setup(app):
    app.connect("autodoc-process-docstring", as_plain_text, priority=400)
    app.connect("source-read", optional_pages)
