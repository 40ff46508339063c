from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.graph.sources.own_folder import Write, arrays, save


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a folder; `suffix` for all tables, keyword arguments replace arrays (None leaves one out) or, as text, whole .csv files."""

    def write(suffix: str = ".npy", **replaced: Any) -> Path:
        folder = tmp_path / "mine"
        folder.mkdir(exist_ok=True)
        for stem, values in {**arrays(), **replaced}.items():
            if isinstance(values, str):
                (folder / f"{stem}.csv").write_text(values)
            elif values is not None:
                save(folder / f"{stem.replace('__', '/')}{suffix}", values)
        return folder

    return write
