"""The table of a sweep from its folders, whatever state they are in."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from gas_cli.errors import UserError
from gas_cli.report.plan import NOT_COMPOSED, REFUSED, PlannedJob, note, read_plan, write_plan
from gas_cli.report.summary import write_summary
from gas_cli.report.sweep import read_jobs, report_sweep
from gas_cli.report.table import comma_separated, markdown


def job(sweep: Path, name: str, overrides: str, settings: dict[str, Any] | None = None, **summary: Any) -> None:
    """A job's folder; `settings` are its config.yaml beyond what stands in `overrides`."""
    folder = sweep / name
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {item}\n" for item in overrides.split()))
    own = {"seed": 0, "dataset.name": "cora", "model.name": "gcn"}
    own |= {{"model": "model.name"}.get(key, key): value for key, _, value in (item.partition("=") for item in overrides.split())}
    OmegaConf.save(OmegaConf.from_dotlist([f"{key}={value}" for key, value in {**own, **(settings or {})}.items()]), folder / "config.yaml")
    if summary:
        write_summary(folder / "summary.json", summary)


def table(sweep: Path) -> list[dict[str, str]]:
    report_sweep(sweep)
    with (sweep / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def test_rows_are_sorted_by_their_settings_as_numbers(tmp_path: Path) -> None:
    for seed in (10, 9, 0):
        job(tmp_path, f"j{seed}", f"seed={seed}", status="finished", val=0.5)
    job(tmp_path, "named/by=hand", "seed=1", status="finished", val=0.5)
    assert [row.name for row in read_jobs(tmp_path)] == ["j0", "j9", "j10", "named/by=hand"]
    assert [row["seed"] for row in table(tmp_path)[:4]] == ["0", "1", "9", "10"]


def test_a_job_without_a_summary_is_unfinished(tmp_path: Path) -> None:
    job(tmp_path, "0", "seed=1")
    (row,) = read_jobs(tmp_path)
    assert row.status == "unfinished" and "summary.json" in row.error
    assert "unfinished" in report_sweep(tmp_path)


def test_means_only_over_finished_jobs_that_differ_by_seed_alone(tmp_path: Path) -> None:
    job(tmp_path, "0", "seed=0 model=gcn", status="finished", val=0.5, test=0.25, seconds=1.0)
    job(tmp_path, "1", "seed=1 model=gcn", status="finished", val=0.75, test=0.75, seconds=3.0)
    job(tmp_path, "2", "seed=2 model=gcn", status="failed", error="x")
    job(tmp_path, "3", "seed=0 model=appnp", status="finished", val=0.1)
    job(tmp_path, "4", "model=gcn", {"optimizer.lr": 0.5}, status="finished", val=0.1)
    (row,) = [row for row in table(tmp_path) if row["job"] == "mean"]
    assert (row["model"], row["status"], row["val"], row["test"], row["seconds"]) == ("gcn", "2 seeds", "0.625", "0.5", "2.0")
    assert float(row["val_std"]) == pytest.approx(0.25 / 2**0.5)


def test_a_row_shows_the_settings_of_its_own_configuration(tmp_path: Path) -> None:
    """Whatever overrides stand next to it: Hydra writes those anew when another job is refused in the folder."""
    job(tmp_path, "0", "model=gcn", {"model.name": "sage", "seed": 1}, status="finished", val=0.84)
    job(tmp_path, "1", "model=gcn", {"model.name": "gcn", "seed": 1}, status="finished", val=0.60)
    assert [(row["model"], row["val"], row["best"]) for row in table(tmp_path)] == [("gcn", "0.6", ""), ("sage", "0.84", "best")]


def test_constant_overrides_are_no_columns_and_what_differs_unsaid_is_one(tmp_path: Path) -> None:
    for name, lr in (("0", 0.1), ("1", 0.2)):
        job(tmp_path, name, "trainer.epochs=3 model=gcn", {"optimizer.lr": lr}, status="finished", val=lr)
    assert set(table(tmp_path)[0]) == {
        "job", "optimizer.lr", "status", "best", "val", "val_std", "test", "test_std", "seconds", "error",
    }  # fmt: skip


def test_the_best_is_marked_among_settings_of_one_dataset(tmp_path: Path) -> None:
    """The mean of two seeds, not its luckier one; 0.9 on another dataset is no better."""
    for name, overrides, val in (("0", "seed=0 model=gcn", 0.4), ("1", "seed=1 model=gcn", 0.8), ("2", "seed=0 model=sage", 0.7)):
        job(tmp_path, name, overrides, status="finished", val=val)
    job(tmp_path, "3", "seed=0 model=sage", {"dataset.name": "pubmed"}, status="finished", val=0.9)
    job(tmp_path, "4", "seed=0 model=gin", status="failed", val=0.95, error="disk full")
    assert [row["job"] for row in table(tmp_path) if row["best"]] == ["2"]
    assert "0.7000 (best)" in (tmp_path / "sweep.md").read_text()


def test_jobs_without_a_run_are_listed(tmp_path: Path) -> None:
    job(tmp_path, "0", "model=gcn seed=0", status="finished", val=0.5)
    write_plan(tmp_path, [["model=gcn", "seed=0"], ["model=gcn", "seed=1"], ["model=sage", "seed=0"], ["model=gin", "seed=0"]])
    note(tmp_path, PlannedJob(("model=gcn", "seed=0"), "started"))
    note(tmp_path, PlannedJob(("model=sage", "seed=0"), REFUSED, "in use"))
    note(tmp_path, PlannedJob(("model=gin", "seed=0"), NOT_COMPOSED, "no alpha"))
    found = [(row["model"], row["seed"], row["status"], row["error"]) for row in table(tmp_path)]
    assert found == [
        ("gcn", "0", "finished", ""),
        ("gcn", "1", "not run", ""),
        ("gin", "0", "not composed", "no alpha"),
        ("sage", "0", "refused", "in use"),
    ]


@pytest.mark.parametrize("content", ["{", "3\n", '{"overrides": ["a=1"], "status": "perhaps", "error": ""}\n', '{"status": "started"}\n'])
def test_a_damaged_plan_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "jobs.jsonl").write_text(content)
    with pytest.raises(UserError, match="is damaged"):
        read_plan(tmp_path)


@pytest.mark.parametrize("content", ["a: [", "[1, 2]", "\x00", "a: " + "[" * 5000 + "]" * 5000, "a: &a [1]\nb: [*a, *a]"])
def test_a_result_whose_settings_cannot_be_read_is_not_shown(content: str, tmp_path: Path) -> None:
    job(tmp_path, "0", "seed=1", status="finished", val=0.5)
    (tmp_path / "0" / "config.yaml").write_text(content)
    (row,) = table(tmp_path)
    assert (row["status"], row["val"]) == ("unreadable", "") and "config.yaml" in row["error"]


@pytest.mark.parametrize("seeds", [("12345678901", "12345678902"), (str(2**62), str(2**62 + 1)), ("1", "2")])
def test_seeds_of_any_size_are_told_apart(seeds: tuple[str, str], tmp_path: Path) -> None:
    for seed in seeds:
        job(tmp_path, f"s{seed}", f"seed={seed}", status="finished", val=0.5)
    assert [row["seed"] for row in table(tmp_path)] == [*seeds, ""]


def test_jobs_without_hydras_folder_are_found_and_their_repetitions_are_no_jobs(tmp_path: Path) -> None:
    for name, lr in (("a", 0.1), ("b", 0.2)):
        job(tmp_path, name, "runs=2", {"optimizer.lr": lr}, status="finished", val=lr)
        shutil.rmtree(tmp_path / name / ".hydra")
        (tmp_path / name / "runs" / "00").mkdir(parents=True)
        write_summary(tmp_path / name / "runs" / "00" / "summary.json", {"status": "finished", "val": 1.0})
    assert [(row["job"], row["optimizer.lr"]) for row in table(tmp_path)] == [("a", "0.1"), ("b", "0.2")]


def test_repetitions_within_a_job_keep_their_deviation(tmp_path: Path) -> None:
    job(tmp_path, "0", "runs=3", status="finished", val=0.5, test=0.25, std={"val": 0.125, "test": 0.0625})
    assert "0.5000 ± 0.1250" in report_sweep(tmp_path)
    (row,) = table(tmp_path)
    assert (row["val_std"], row["test_std"]) == ("0.125", "0.0625")


def test_an_empty_sweep_writes_nothing(tmp_path: Path) -> None:
    assert report_sweep(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job(tmp_path, "0", "seed=0", status="finished", val=0.5)

    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gas_cli.report.sweep.write_atomically", full)
    with pytest.raises(UserError, match="No space left"):
        report_sweep(tmp_path)


ROWS = [{"a": "x|y", "b": 0.123456789}, {"a": "two\nlines, and comma", "b": None, "ignored": 1}]


def test_csv_round_trip() -> None:
    read = list(csv.DictReader(io.StringIO(comma_separated(["a", "b"], ROWS))))
    assert read == [{"a": "x|y", "b": "0.123456789"}, {"a": "two\nlines, and comma", "b": ""}]


def test_markdown_is_a_table_of_equal_lines() -> None:
    lines = markdown(["a", "b"], ROWS).splitlines()
    assert len(lines) == 4 and len({len(line) for line in lines}) == 1
    assert "x\\|y" in lines[2] and "0.1235" in lines[2] and "two lines" in lines[3]


def test_best_follows_the_metric_that_chose_and_its_direction(tmp_path: Path) -> None:
    for name, val in (("0", 3.0), ("1", 2.0)):
        job(tmp_path, name, f"optimizer.lr=0.{name}", {"dataset.name": "prices"}, status="finished", val=val, metric="mae")
    for name, val, chosen in (("2", 0.9, 0.5), ("3", 0.8, 0.6)):
        settings = {"evaluation.select": "macro_f1"}
        values: dict[str, Any] = {"val": val, "metric": "accuracy", "selected": {"train": 1.0, "val": chosen, "test": 0.5}}
        job(tmp_path, name, f"optimizer.lr=0.{name}", settings, status="finished", **values)
    assert [row["job"] for row in table(tmp_path) if row["best"]] == ["1", "3"]
    text = report_sweep(tmp_path)
    assert "0.6000 (best)" in text and "2.0000 (best)" in text and "selected" in text.splitlines()[1]


def test_losses_are_compared_where_they_are_of_the_same_kind_and_the_lowest_is_the_best(tmp_path: Path) -> None:
    for number, (error, loss) in enumerate((("mse", 0.9), ("null", 0.4), ("mae", 0.2), ("mae", 0.3))):
        settings = {"evaluation.select": "loss", "trainer.loss": error}
        values: dict[str, Any] = {"val": 0.5, "metric": "rmse", "selected": {"train": 0.1, "val": loss, "test": 0.1}}
        job(tmp_path, str(number), f"optimizer.lr=0.{number}", settings, status="finished", **values)
    assert [row["job"] for row in table(tmp_path) if row["best"]] == ["1", "2"]
    assert "0.4000 (best)" in report_sweep(tmp_path)


def test_the_mean_over_seeds_has_that_of_the_selecting_metric(tmp_path: Path) -> None:
    for seed, chosen in ((0, 0.5), (1, 0.75)):
        values: dict[str, Any] = {"val": 0.5, "selected": {"val": chosen}}
        job(tmp_path, str(seed), f"seed={seed}", {"evaluation.select": "macro_f1"}, status="finished", **values)
    (row,) = [row for row in table(tmp_path) if row["job"] == "mean"]
    assert float(row["selected"]) == 0.625 and float(row["selected_std"]) == pytest.approx(0.125 * 2**0.5)


def test_graphs_of_users_are_called_by_their_paths_and_not_compared(tmp_path: Path) -> None:
    for name, path in (("0", "data/trade"), ("1", "other/trade"), ("2", "data/roads")):
        for lr in ("0.1", "0.2"):
            overrides = f"dataset=folder dataset.path={path} optimizer.lr={lr}"
            own = {"dataset.name": "folder"}
            job(tmp_path, f"{name}{lr}", overrides, own, status="finished", val=float(name) / 10 + float(lr) / 100, metric="accuracy")
    assert {read.setting("dataset") for read in read_jobs(tmp_path)} == {"trade", "roads"}
    rows = table(tmp_path)
    assert [(row["dataset.path"], row["optimizer.lr"]) for row in rows if row["best"]] == [
        ("data/roads", "0.2"),
        ("data/trade", "0.2"),
        ("other/trade", "0.2"),
    ]
