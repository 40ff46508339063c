"""The types of settings by group and name: the shipped ones and those that programs register."""

from __future__ import annotations

import functools
from typing import Any

from gas_cli.config.dataset import ClusterConfig, DatasetConfig, FolderConfig, GeneratedConfig
from gas_cli.config.method import (
    ClusterGCNConfig,
    FullBatchConfig,
    GASConfig,
    GraphFMConfig,
    GraphFMIBConfig,
    LMCConfig,
    MethodConfig,
    SamplingConfig,
    VRGCNConfig,
)
from gas_cli.config.model import (
    APPNPConfig,
    ConvConfig,
    CustomConfig,
    GATConfig,
    GCNConfig,
    GCNIIConfig,
    GINConfig,
    ModelConfig,
    PNAConfig,
    PNAJKConfig,
    SAGEConfig,
)
from gas_cli.config.registered import REGISTRIES, registered
from gas_cli.config.root import Config
from gas_cli.errors import UserError

MODEL_SCHEMAS: dict[str, type[ModelConfig]] = {
    "gcn": GCNConfig,
    "gat": GATConfig,
    "gatv2": GATConfig,
    "sage": SAGEConfig,
    "gin": GINConfig,
    "conv": ConvConfig,
    "transformer": ConvConfig,
    "custom": CustomConfig,
    "pna": PNAConfig,
    "pna_jk": PNAJKConfig,
    "gcnii": GCNIIConfig,
    "appnp": APPNPConfig,
}
"""By `model.name`; a saved configuration finds its type by it."""
DATASET_SCHEMAS: dict[str, type[DatasetConfig]] = {
    "generated": GeneratedConfig,
    "folder": FolderConfig,
    "cluster": ClusterConfig,
}
METHOD_SCHEMAS: dict[str, type[MethodConfig]] = {
    "gas": GASConfig,
    "full_batch": FullBatchConfig,
    "cluster_gcn": ClusterGCNConfig,
    "sampling": SamplingConfig,
    "graphfm": GraphFMConfig,
    "graphfm_ib": GraphFMIBConfig,
    "lmc": LMCConfig,
    "vr_gcn": VRGCNConfig,
}
SCHEMAS: dict[str, dict[str, Any]] = {"model": MODEL_SCHEMAS, "method": METHOD_SCHEMAS}
DEFAULT_ROOT = "${oc.env:GAS_DATA,data}"

_stored: dict[tuple[str, str], type[Any]] = {}
"""The registered settings that Hydra's store has, by group and name."""


def register_schemas() -> None:
    """Make the dataclasses known to Hydra as `schema` (the root) and `/schema/<group>` (the groups with several types)."""
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    _register_shipped()
    for group in REGISTRIES:
        for name, schema in registered(group).schemas.items():
            if name in SCHEMAS.get(group, {}):  # the shipped ones keep their names
                continue
            there = f"{name}.yaml" in ConfigStore.instance().repo.get(group, {})  # a program may have emptied the store
            if not there or _stored.get((group, name)) is not schema:
                _stored[group, name] = schema
                node = OmegaConf.structured(schema)
                node.name = name
                if group == "dataset":
                    node.root = DEFAULT_ROOT
                ConfigStore.instance().store(group=group, name=name, node=node)


@functools.cache
def _register_shipped() -> None:
    """Once: it takes a third of the time of a composition, and Hydra's store lives as long as the process."""
    from hydra.core.config_store import ConfigStore
    from omegaconf import MISSING, OmegaConf

    store = ConfigStore.instance()
    root = OmegaConf.structured(Config)
    root.dataset = MISSING  # their types depend on the choice; the chosen file brings its schema
    root.model = MISSING
    root.method = MISSING
    store.store(name="schema", node=root)
    for name, dataset in {"named": DatasetConfig, **DATASET_SCHEMAS}.items():
        node = OmegaConf.structured(dataset)
        node.root = DEFAULT_ROOT
        store.store(group="schema/dataset", name=name, node=node)
    for group, schemas in SCHEMAS.items():
        for name, schema in schemas.items():
            store.store(group=f"schema/{group}", name=name, node=OmegaConf.structured(schema))


def root_schema(saved: Any) -> Any:
    """The root schema with the types of dataset, model and method chosen by their names in `saved`. Not to be changed."""
    from omegaconf import OmegaConf

    datasets = registered("dataset").schemas | DATASET_SCHEMAS  # every other name: DatasetConfig
    kinds = {"dataset": datasets.get(str(OmegaConf.select(saved, "dataset.name")), DatasetConfig)}
    for group, schemas in SCHEMAS.items():
        name = OmegaConf.select(saved, f"{group}.name")
        known = registered(group).schemas | schemas
        if name not in known:
            raise UserError(
                f"{group}.name={name} is unknown: expected one of {', '.join(known)}. A program that registered it must register it again "
                f"(gas_cli.register_{group}) before it reads the run."
            )
        kinds[group] = known[name]
    return _structured(tuple(kinds.items()))


@functools.lru_cache(maxsize=16)
def _structured(kinds: tuple[tuple[str, type[Any]], ...]) -> Any:
    """The root schema with these types of its groups. Remembered: OmegaConf needs 15 ms to read them."""
    from omegaconf import OmegaConf

    schema = OmegaConf.structured(Config)
    for group, kind in kinds:
        schema[group] = OmegaConf.structured(kind)
    return schema
