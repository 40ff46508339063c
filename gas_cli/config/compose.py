"""From yaml files and overrides to one typed `Config`, and back to a file.

Hydra composes (`compose_config`, or `launch.py` for the command line), `to_config` checks and converts once, and
everything after works on plain dataclasses. Nothing is ever instantiated from a configuration: names select code in registries.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import gas_cli
from gas_cli.config.arguments import check_arguments
from gas_cli.config.dataset import ClusterConfig, DatasetConfig, FolderConfig, GeneratedConfig
from gas_cli.config.method import ClusterGCNConfig, FullBatchConfig, GASConfig, GraphFMConfig, LMCConfig, MethodConfig, SamplingConfig
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
from gas_cli.config.registered import REGISTRIES, locate_module, registered
from gas_cli.config.removed import without_removed
from gas_cli.config.root import Config
from gas_cli.errors import UserError
from gas_cli.files import write_atomically

VERSION_BASE = "1.3"
CONFIG_NAME = "config"
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
    "lmc": LMCConfig,
}
SCHEMAS: dict[str, dict[str, Any]] = {"model": MODEL_SCHEMAS, "method": METHOD_SCHEMAS}
OPEN_SETTINGS = ("model.conv_args.", "model.layer_args.")  # their keys are those of the chosen convolution
MOST_BYTES, DEEPEST = 200_000, 20
"""Of a saved file of settings, which has 3 kB and 4 levels."""
T = TypeVar("T")  # the dataclass of a small command's settings
DEFAULT_ROOT = "${oc.env:GAS_DATA,data}"


def config_directory() -> Path:
    """The shipped `conf/`: inside the package when installed from a wheel, beside it in a checkout or an editable install."""
    package = Path(gas_cli.__file__).resolve().parent
    for candidate in (package / "conf", package.parent / "conf"):
        if (candidate / f"{CONFIG_NAME}.yaml").is_file():
            return candidate
    raise UserError(
        f"The configuration files of gas-train are missing in the folder of {package}: install the package again (pip install .)."
    )


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


def compose_config(overrides: Sequence[str] = (), config_dirs: Sequence[Path] = ()) -> Config:
    """The configuration that `gas-train <overrides>` would run, for tests, benchmarks and scripts.

    `config_dirs` are further folders of configs, as with `--config-dir`. Raises `UserError` for anything that cannot be composed.
    """
    return to_config(compose(list(overrides), config_dirs))


def compose(overrides: list[str], config_dirs: Sequence[Path] = (), config_name: str = CONFIG_NAME, hydra: bool = False) -> Any:
    """The composed `DictConfig`, with the `hydra` node if asked for; errors of Hydra and OmegaConf become `UserError`."""
    from hydra.types import RunMode
    from omegaconf import open_dict

    from gas_cli.config.messages import translated

    check_arguments(overrides)
    extra = [f"hydra.searchpath=[{','.join(repr(str(folder.resolve())) for folder in config_dirs)}]"] if config_dirs else []
    given = [*extra, *with_open_settings(overrides)]
    with translated(), own_hydra():
        composed = hydra_of(given).compose_config(config_name, given, RunMode.RUN, from_shell=False)
        if not hydra:
            with open_dict(composed):
                del composed["hydra"]
    return composed


def hydra_of(overrides: Sequence[str], first_dirs: Sequence[Path] = ()) -> Any:
    """Hydra as its command line makes it, with the shipped configs and, before them, those of `first_dirs`.

    Without configs from elsewhere it remembers what it composed for an earlier command or call in this process.
    """
    from hydra import version
    from hydra._internal.hydra import Hydra

    from gas_cli.config.jobs import register_job_folders
    from gas_cli.config.loader import loader_of

    register_schemas()
    register_job_folders()
    version.setbase(VERSION_BASE)
    elsewhere = first_dirs or any("searchpath" in override for override in overrides)
    loader = loader_of(config_directory(), first_dirs) if elsewhere else _shared().of(config_directory())
    return Hydra(task_name="gas-train", config_loader=loader)


@functools.cache
def _shared() -> Any:
    from gas_cli.config.loader import SharedLoader

    return SharedLoader()


@contextmanager
def own_hydra() -> Iterator[None]:
    """Hydra has one state per process: that of a program around us, which may use Hydra too, is put back afterwards."""
    from hydra.core.global_hydra import GlobalHydra

    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().clear()
        if before is not None:
            GlobalHydra.instance().initialize(before)


def with_open_settings(arguments: Sequence[str]) -> list[str]:
    """Overrides as Hydra wants them: `model.conv_args.aggr=max` adds a free key, so it needs `++`."""
    return [f"++{argument}" if argument.startswith(OPEN_SETTINGS) else argument for argument in arguments]


def to_config(composed: Any) -> Config:
    """Resolve, convert and check a composed `DictConfig`. Paths become absolute, so that a run can be resumed from any folder."""
    from omegaconf import OmegaConf

    from gas_cli.config.messages import translated

    with translated():
        config = OmegaConf.to_object(composed)
    if not isinstance(config, Config):
        raise UserError("The primary configuration does not start from 'schema': its defaults list must begin with '- schema'.")
    _refuse_additions(config)
    config.dataset.root = str(Path(config.dataset.root).expanduser().absolute())
    if isinstance(config.dataset, FolderConfig) and config.dataset.path:
        config.dataset.path = str(Path(config.dataset.path).expanduser().absolute())
    if isinstance(config.model, CustomConfig):
        config.model.module = locate_module(config.model.module)
    if config.partitioner.file:
        config.partitioner.file = str(Path(config.partitioner.file).expanduser().absolute())
    return config


def _refuse_additions(node: Any, prefix: str = "") -> None:
    """Hydra's `+key=value` adds keys to a typed configuration all the same; nothing would ever read them."""
    known = {field.name for field in dataclasses.fields(node)}
    for name, value in vars(node).items():
        if name not in known:
            raise UserError(
                f"{prefix}{name} is not a setting, so +{prefix}{name}=... cannot add it. gas-train --cfg job shows all settings."
            )
        if dataclasses.is_dataclass(value):
            _refuse_additions(value, f"{prefix}{name}.")


def save_config(config: Config, path: Path) -> None:
    """Write `config` as yaml with plain, resolved values, atomically. Raises `OSError`."""
    from omegaconf import OmegaConf

    write_atomically(path, OmegaConf.to_yaml(OmegaConf.create(dataclasses.asdict(config))))


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read what `save_config` wrote, as data: nothing in it is resolved or executed. `overrides` are `key=value` on top; no file of
    a group can be chosen here.

    Raises `UserError` for a missing or corrupt file, unknown keys and wrong values.
    """
    from omegaconf import OmegaConf

    from gas_cli.config.messages import translated

    check_arguments(overrides)
    content = without_removed(read_settings(path))
    with translated(f"{path}: "):
        saved = OmegaConf.create(content)
        schema = _schema_of(saved)
        merged = OmegaConf.merge(schema, saved)
    with translated():
        merged.merge_with_dotlist(list(overrides))
    return to_config(merged)


def parse_settings(schema: type[T], arguments: Sequence[str]) -> T:
    """`key=value` arguments of a small command as its settings dataclass. Raises `UserError` for unknown keys and wrong values."""
    from omegaconf import OmegaConf

    from gas_cli.config.messages import nearest, setting_names, translated

    known = setting_names(schema)
    for argument in arguments:
        key, separator, _ = argument.partition("=")
        if not separator or key not in known:
            raise UserError(f"{argument!r} is not valid: expected key=value with one of {', '.join(known)}.{nearest(key, known)}")
    check_arguments(arguments, schema)
    with translated():
        merged = OmegaConf.merge(OmegaConf.structured(schema), OmegaConf.from_dotlist(list(arguments)))
        settings: T = OmegaConf.to_object(merged)  # type: ignore[assignment]
    return settings


def load_overrides(path: Path) -> list[str]:
    """The list of overrides that Hydra keeps with every job (`.hydra/overrides.yaml`)."""
    content = _read_yaml(path)
    return [str(item) for item in content] if isinstance(content, list) else []


def read_settings(path: Path, interpolated: bool = False) -> dict[str, Any]:
    """The mapping in a file of settings, with nothing resolved. Raises `UserError` for anything else, and for interpolations (a file from
    elsewhere must not read our environment) unless they are wanted, as text."""
    content = _read_yaml(path, interpolated)
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a run's configuration: expected a mapping of settings.")
    return content


def _read_yaml(path: Path, interpolated: bool = False) -> Any:
    """Yaml of bounded size and depth, as plain values."""
    import yaml
    from omegaconf.errors import OmegaConfBaseException

    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1).decode()
        complaint, content = _parsed(text)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, yaml.YAMLError, OmegaConfBaseException) as error:  # UnicodeDecodeError is a ValueError; so is a number too long
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{path} is not valid yaml: it was cut short or edited by mistake ({reason}).") from error
    if complaint:
        raise UserError(f"{path} {complaint}")
    if "${" in text and not interpolated:
        raise UserError(f"{path} holds an interpolation (${{...}}): a saved file has plain values only.")
    return copy.deepcopy(content)


@functools.lru_cache(maxsize=4)
def _parsed(text: str) -> tuple[str, Any]:
    """What is wrong with the extent of a yaml text, and its content where nothing is; the content is not to be changed.

    Remembered: a command reads the configuration of one run several times, in 25 ms each. Raises what yaml and OmegaConf raise.
    """
    from omegaconf import OmegaConf

    complaint = _excess(text)
    return complaint, OmegaConf.to_container(OmegaConf.create(text)) if text.strip() and not complaint else None


def _excess(text: str) -> str:
    """What no saved file has and what would take memory or stack without bound, as a message; empty where there is nothing of it.

    The events come one by one.
    """
    import yaml

    if len(text) > MOST_BYTES:
        return f"is larger than {MOST_BYTES // 1000} kB: expected a saved file of settings, which is smaller."
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            return f"holds an alias (*{event.anchor:.40}): a saved file has plain values only."
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            return f"is nested more than {DEEPEST} levels deep: expected a saved file of settings, which is flatter."
    return ""


def _schema_of(saved: Any) -> Any:
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
