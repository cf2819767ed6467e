# SPDX-License-Identifier: MIT
"""The documentation site: ``sphinx-build -W -b html docs OUT``. It needs no network."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # site_extension

from site_extension import EXAMPLES, missing_data

import pydarts

project = "pydarts"
author = "the pydarts authors"
copyright = author
release = pydarts.__version__
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxarg.ext",
    "site_extension",
]
root_doc = "index"
exclude_patterns = ["_build", "jupyter_execute"]
default_role = "py:obj"  # docstrings write `pydarts.Model` for what may be a link
smartquotes = False  # of --out they would make a dash

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3  # links such as methods.md#your-own, as on any forge
html_math_renderer = "mathml"  # of site_extension: MathJax would come from the network

autodoc_typehints = "none"  # docstrings have the types
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "inherited-members": "BaseEstimator, Exception, tuple"}
autodoc_inherit_docstrings = False
napoleon_google_docstring = False
napoleon_use_ivar = True  # else attributes are documented twice
napoleon_use_rtype = False

# The worked examples are executed where the site is built; one that fails, fails the build.
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 400  # a cell takes seconds; on a busy machine more
nb_execution_in_temp = True
nb_merge_streams = True
nb_execution_excludepatterns = [f"{name}.md" for name in EXAMPLES if missing_data(name)]

html_theme = "furo"
html_title = f"pydarts {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
templates_path: list[str] = []
pygments_style = "friendly"
