"""Damage to files of any form: bytes, lines and cells of text, whole files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

Rng = np.random.Generator

TOKENS = (
    *("nan", "NaN", "inf", "-inf", "1e400", "-1", "-0", "+1", "0x10", "1_000", "1e3", "1.5", "0.0", "2.0000001", "TRUE", "None", "null"),
    *("", " ", "a", "é", "١", "½", '"', "'", '"1', "\t", "\x00", "\ufeff", "#", "99999999999999999999", "9223372036854775807", "-9e18"),
    *("1" * 400, "1,5", "1;2", "[1]", "${oc.env:HOME}", "=1+1", "1" * 5000),
)


def pick(rng: Rng, choices: tuple[str, ...] | list[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _span(rng: Rng, size: int) -> tuple[int, int]:
    begin = int(rng.integers(size))
    return begin, min(size, begin + int(rng.integers(1, 2 + min(64, size // 2))))


def flip(rng: Rng, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        changed[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def cut(rng: Rng, data: bytes) -> bytes:
    return data[: int(rng.integers(len(data)))]


def scribble(rng: Rng, data: bytes) -> bytes:
    begin, end = _span(rng, len(data))
    return data[:begin] + rng.bytes(end - begin) + data[end:]


def blank(rng: Rng, data: bytes) -> bytes:
    begin, end = _span(rng, len(data))
    return data[:begin] + bytes(end - begin) + data[end:]


def remove(rng: Rng, data: bytes) -> bytes:
    begin, end = _span(rng, len(data))
    return data[:begin] + data[end:]


def repeat(rng: Rng, data: bytes) -> bytes:
    begin, end = _span(rng, len(data))
    return data[:end] + data[begin:end] + data[end:]


def append(rng: Rng, data: bytes) -> bytes:
    return data + rng.bytes(int(rng.integers(1, 40)))


BYTES: dict[str, Callable[[Rng, bytes], bytes]] = {
    "flipped bits": flip,
    "truncated": cut,
    "overwritten span": scribble,
    "zeroed span": blank,
    "removed span": remove,
    "repeated span": repeat,
    "bytes appended": append,
}


def damage_bytes(rng: Rng, path: Path) -> str:
    name, data = pick(rng, list(BYTES)), path.read_bytes()
    path.write_bytes(BYTES[name](rng, data) if data else rng.bytes(9))
    return f"{path.name}: {name}"


LINES = ("line missing", "line doubled", "lines swapped")
CELLS = ("cell missing", "cell doubled", "cells swapped")
WHOLE = ("missing", "empty", "a folder", "a link to itself", "a link to nothing", *["with the content of"] * 4, *["swapped with"] * 3)


def damage_text(rng: Rng, path: Path, separator: str = ",") -> str:
    """A line or a cell that is missing, doubled, moved, or something else."""
    lines = path.read_text(encoding="utf-8").split("\n")
    one, other = (int(rng.integers(len(lines))) for _ in range(2))
    cells = lines[one].split(separator)
    cell, second = (int(rng.integers(len(cells))) for _ in range(2))
    name = pick(
        rng, ["line missing", "line doubled", "lines swapped", "cell missing", "cell doubled", "cells swapped", *["cell changed"] * 4]
    )
    if name == "line missing":
        del lines[one]
    elif name == "line doubled":
        lines.insert(one, lines[one])
    elif name == "lines swapped":
        lines[one], lines[other] = lines[other], lines[one]
    else:
        if name == "cell missing":
            del cells[cell]
        elif name == "cell doubled":
            cells.insert(cell, cells[cell])
        elif name == "cells swapped":
            cells[cell], cells[second] = cells[second], cells[cell]
        else:
            token = pick(rng, TOKENS)
            cells[cell] = token
            name = f"a cell is {token[:20]!r}"
        lines[one] = separator.join(cells)
    path.write_text("\n".join(lines), encoding="utf-8")
    return f"{path.name}: {name} (line {one + 1})"


def damage_whole(rng: Rng, path: Path, others: list[Path]) -> str:
    """The file is missing, empty, a folder, a link to nowhere or itself, or has another file's content."""
    name = pick(rng, WHOLE)
    other = others[int(rng.integers(len(others)))]
    content = path.read_bytes()
    path.unlink()
    if name == "empty":
        path.write_bytes(b"")
    elif name == "a folder":
        path.mkdir()
    elif name.startswith("a link"):
        path.symlink_to(path.name if name == "a link to itself" else "nothing")
    elif name == "with the content of":
        shutil.copy(other, path) if other != path else path.write_bytes(content + content)
        name += f" {other.name}" if other != path else " itself, twice"
    elif name == "swapped with":
        path.write_bytes(content if other == path else other.read_bytes())
        other.write_bytes(content)
        name += f" {other.name}"
    return f"{path.name}: {name}"
