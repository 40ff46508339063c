"""A hook of mkdocs for links that leave docs/: files become paths as code, since the site holds pages only; pictures become part of it."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<!!)\[([^\]\n]*)\]\((\.\./[^)\s]*)\)")
PICTURE = re.compile(r"(?<=\]\()\.\./([^)\s]+\.png)(?=\))")


def on_files(files: Any, config: Any) -> Any:
    """What mkdocs calls with the files of docs/: add the pictures that the pages show from elsewhere."""
    from mkdocs.structure.files import File

    shown = {path for page in files.documentation_pages() for path in PICTURE.findall(page.content_string)}
    for path in sorted(shown):
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """What mkdocs calls with every page."""
    return without_outside_links(markdown)


def without_outside_links(markdown: str) -> str:
    """A page of docs/ with `path` for [path](../path), text (`path`) where the text says something else, and pictures without the ../."""
    return PICTURE.sub(r"\1", LINK.sub(_as_code, markdown))


def _as_code(link: re.Match[str]) -> str:
    text, path = link[1], posixpath.normpath(f"docs/{link[2].partition('#')[0]}")
    return f"`{path}`" if path.endswith(text.strip("`/")) else f"{text} (`{path}`)"
