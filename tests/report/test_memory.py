"""Peak memory in the summary and in the log."""

from __future__ import annotations

from gas_cli.report.memory import highest, largest, memory_line

MIB = 1 << 20
HOST = {
    "cumulative": False,
    "resident": {"start": 300 * MIB, "load": 400 * MIB, "train": 900 * MIB},
    "processes": {"metis": 50 * MIB},
    "data": {"graph": 2 * MIB, "features": 5 * MIB, "histories": 4 * MIB},
}


def test_the_line_names_every_stage_and_every_process() -> None:
    assert memory_line(HOST) == (
        "Peak memory by stage, of the process: start 300, load 400, train 900; other processes: metis 50; "
        "the data is graph 2, features 5, histories 4 MiB."
    )


def test_the_line_says_where_peaks_are_cumulative_and_what_a_device_took() -> None:
    line = memory_line({**HOST, "cumulative": True, "processes": {}, "device": {"train": 70 * MIB}})
    assert "cumulative" in line and "other processes" not in line and "on the device: train 70;" in line


def test_a_system_that_does_not_tell_is_not_said_to_take_nothing() -> None:
    line = memory_line({**HOST, "cumulative": True, "resident": dict.fromkeys(HOST["resident"], 0)})
    assert "does not tell" in line and "train 0" not in line


def test_the_highest_is_the_devices_where_there_is_one() -> None:
    assert highest(HOST) == 900 * MIB
    assert highest({**HOST, "device": {"setup": MIB, "train": 70 * MIB}}) == 70 * MIB


def test_of_several_runs_each_figure_is_the_largest() -> None:
    other = {**HOST, "cumulative": True, "resident": {"start": 500 * MIB, "load": 400 * MIB, "train": 800 * MIB, "refresh": 3 * MIB}}
    merged = largest([HOST, other])
    assert merged["resident"] == {"start": 500 * MIB, "load": 400 * MIB, "train": 900 * MIB, "refresh": 3 * MIB}
    assert merged["processes"] == HOST["processes"] and merged["cumulative"] and "device" not in merged
