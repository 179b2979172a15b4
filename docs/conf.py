"""The settings of Sphinx for the site of these pages, which `scripts/docs` builds."""

from vstore import __version__

project = "vstore"
release = __version__
copyright = "the vstore authors"
extensions = ["myst_parser"]
myst_heading_anchors = 6  # named as a forge names them, so that one link works in both places
suppress_warnings = ["misc.highlighting_failure"]  # signatures with "…"
highlight_language = "text"
html_theme = "furo"
html_title = f"vstore {release}"
html_static_path = ["_static"]
html_css_files = ["vstore.css"]
html_favicon = "_static/favicon.svg"
html_theme_options = {"navigation_with_keys": True}
html_show_sphinx = False
html_show_sourcelink = False
html_copy_source = False
html_domain_indices = False
html_use_index = False
html_show_copyright = False
