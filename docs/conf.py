"""How the pages are built: Sphinx, MyST Markdown, the Furo theme; no network, warnings are errors."""

import importlib.metadata
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "sibling"
author = "The sibling authors"
copyright = "The sibling authors. Apache-2.0"
release = importlib.metadata.version("sibling")

extensions = ["myst_parser", "config_reference", "mathml", "objective_table", "verifier_tables"]
html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 4
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"sibling {release}"
html_static_path = ["_static"]
html_css_files = ["sibling.css"]
html_copy_source = False
