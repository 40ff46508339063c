"""The wheel: it holds the package and all configs, and its console scripts work from another folder in another environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that no build folder stays behind."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("gas_cli", "conf"):
        shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        if (REPOSITORY / name).exists():
            shutil.copy(REPOSITORY / name, source / name)
    if not (source / "README.md").exists():
        (source / "README.md").write_text("gas-cli\n")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(source)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment with the wheel in it; the dependencies come from this one, by a path file (no network)."""
    root = tmp_path_factory.mktemp("environment")
    venv.create(root, with_pip=False)
    site = next((root / "lib").glob("python*")) / "site-packages"
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(root / "bin" / "python"),
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return root


def console(environment: Path, script: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The installed script, with nothing of the repository in sight."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COV", "GAS_"))}
    return subprocess.run([str(environment / "bin" / script), *arguments], cwd=cwd, env=clean, capture_output=True, text=True, check=False)


def files(suffix: str, folder: str) -> set[str]:
    return {path.relative_to(REPOSITORY / folder).as_posix() for path in (REPOSITORY / folder).rglob(f"*{suffix}")}


def test_the_wheel_holds_every_module_every_kernel_and_every_config(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for suffix in (".py", ".cu", ".cuh"):
        assert files(suffix, "gas_cli")
        assert {f"gas_cli/{name}" for name in files(suffix, "gas_cli")} <= names
    assert {f"gas_cli/conf/{name}" for name in files(".yaml", "conf")} <= names
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {"gas_cli"}


def test_the_scripts_run_from_another_folder(environment: Path, tmp_path: Path) -> None:
    shown = console(environment, "gas-train", "--cfg", "job", "dataset=cora", "model=gcnii", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "num_layers: 64" in shown.stdout
    helped = console(environment, "gas-train", "--help", cwd=tmp_path)
    assert helped.returncode == 0 and "ogbn-products" in helped.stdout
    assert console(environment, "gas-predict", "--help", cwd=tmp_path).returncode == 0
    wrong = console(environment, "gas-train", "dataset=corra", cwd=tmp_path)
    assert wrong.returncode == 2 and "Did you mean cora?" in wrong.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_configs_are_those_of_the_installed_package(environment: Path, tmp_path: Path) -> None:
    shown = console(environment, "gas-train", "--info", "searchpath", cwd=tmp_path)
    assert f"{environment}/lib" in shown.stdout.replace("/private", "") and str(REPOSITORY) not in shown.stdout


def test_the_installed_program_trains(environment: Path, tmp_path: Path) -> None:
    small = [
        "dataset.num_nodes=300",
        "trainer.epochs=1",
        "partitioner.num_parts=4",
        "trainer.batch_parts=2",
        "partitioner.cache=null",
        "device=cpu",
    ]
    trained = console(environment, "gas-train", *small, "hydra.run.dir=here", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    predicted = console(environment, "gas-predict", "run=here", "device=cpu", cwd=tmp_path)
    assert predicted.returncode == 0, predicted.stderr
    assert (tmp_path / "predictions.npz").exists()


def test_dependencies_are_not_capped_without_need() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert [item for item in project["dependencies"] if "<" in item or "==" in item] == ["hydra-core>=1.3.7,<1.4"]


def test_the_list_of_packages_is_complete() -> None:
    listed = set(tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    assert listed - {"gas_cli.conf"} == {
        path.parent.relative_to(REPOSITORY).as_posix().replace("/", ".") for path in (REPOSITORY / "gas_cli").rglob("__init__.py")
    }
