"""What people call the files, columns and arrays of a graph: the one table of names that are recognised.

Names are compared in lower case, without spaces, `_`, `-` and `:`. `dataset.columns.ROLE=NAME` says what no name says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

NODE_FILES = ("nodes", "node", "vertices", "node_table")
EDGE_FILES = ("edges", "edge", "edgelist", "edge_list", "links")

NODE_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "node", "nodeid", "vertex", "vertexid", "index", "name", "txid"),
    "label": ("label", "labels", "y", "class", "target"),
    "split": ("split", "set", "subset", "partition"),
    "train_mask": ("trainmask", "train", "istrain"),
    "val_mask": ("valmask", "validmask", "val", "valid", "validation", "isval", "isvalid"),
    "test_mask": ("testmask", "test", "istest"),
    "type": ("type", "nodetype", "ntype", "kind"),
}
EDGE_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "source": ("source", "src", "from", "u", "sourceid", "srcid", "fromid", "fromnode", "id1", "node1", "txid1", "startid", "sender"),
    "target": ("target", "dst", "to", "v", "targetid", "dstid", "toid", "tonode", "id2", "node2", "txid2", "endid", "receiver"),
    "weight": ("weight", "w", "edgeweight"),
    "relation": ("relation", "type", "edgetype", "etype", "reltype", "relationtype", "rel", "predicate", "kind"),
}
TYPE_ROLES = ("type", "relation")
"""Those that are looked for with `dataset.types` only: without it such a column is one like others."""
PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test"}
"""What the split of a node may be called, and the part that it means."""

EDGE_LISTS = ("edgeindex", "edges", "edgelist")
_IDS = ("idx", "ids", "index", "indices", "nodes", "nodeids")
IDS = {
    part: tuple(name for word in words for ids in _IDS for name in (f"{word}{ids}", f"{ids}{word}"))
    for part, words in {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}.items()
}
KEYS: Mapping[str, tuple[str, ...]] = {
    "edge_index": (*EDGE_LISTS, "adj", "adjacency", "adjmatrix", "adjacencymatrix", "a", "network", "homo"),
    "edge_weight": ("edgeweight", "edgeweights", "weight", "weights"),
    "edge_attr": ("edgeattr", "edgeattrs", "edgefeatures", "edgefeature", "edgefeat"),
    "x": ("x", "features", "feature", "feat", "nodefeatures", "nodefeat", "attr", "attrs", "attrmatrix", "attrb", "attributes"),
    "y": (*NODE_COLUMNS["label"], "nodelabels", "nodelabel", "group", "gnd"),
    **{f"{part}_mask": (*NODE_COLUMNS[f"{part}_mask"], f"{part}masks", *ids) for part, ids in IDS.items()},
    "class_names": ("classnames", "classname", "labelnames", "idxtoclass"),
}
"""What one file that holds all calls its arrays, by PyG's names; those of `IDS` are node ids instead of masks."""
PIECES = ("data", "indices", "indptr", "shape", "format", "row", "col", "coords", "offsets")
"""What follows the name of a sparse matrix, after `_` or `.`, where its arrays are stored one by one."""


def plain(name: str) -> str:
    """The form in which names are compared."""
    return "".join(letter for letter in name.lower() if letter not in " _-:")


def known_columns(known: Mapping[str, tuple[str, ...]], typed: bool) -> Mapping[str, tuple[str, ...]]:
    """The roles that are looked for in a table, with or without types."""
    return {role: names for role, names in known.items() if typed or role not in TYPE_ROLES}


def columns_of(role: str, names: Iterable[str], known: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Those of the `names` that are recognised as `role`; the first word of the table wins where one of them is exactly it."""
    found = [name for name in names if plain(name) in known[role]]
    exact = [name for name in found if plain(name) == known[role][0]]
    return exact if len(exact) == 1 else found


INDEX_NAMES = ("", "Unnamed: 0")
"""How pandas and R call a column that numbers the rows."""
