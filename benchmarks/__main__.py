"""`python -m benchmarks`: start the servers, measure, report. Everything lives in a throw-away folder."""

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from benchmarks.load import LoadError, require_wrk
from benchmarks.measurement import Result, Settings, measure
from benchmarks.report import print_table, write_json, write_plot
from benchmarks.scenario import SCENARIOS, Scenario
from benchmarks.target import APPLICATION, ROOT, TARGETS, Target

RESULTS = Path(__file__).with_name("results")
NAMES = tuple(scenario.name for scenario in SCENARIOS)


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Measured rounds of each server and request.")
@click.option("--seconds", default=5, show_default=True, help="Length of a round.")
@click.option("--connections", default=16, show_default=True, help="Keep-alive connections.")
@click.option("--token", default=ROOT, show_default=True, type=click.Choice((ROOT, APPLICATION)), help="Who asks.")
@click.option("--quick", is_flag=True, help="One round of one second: shows that it works, measures little.")
@click.option("--target", "targets", multiple=True, type=click.Choice(tuple(TARGETS)), help="Only this server (may be repeated).")
@click.option("--scenario", "scenarios", multiple=True, type=click.Choice(NAMES), help="Only this request (may be repeated).")
@click.option(
    "--output", default=RESULTS, type=click.Path(path_type=Path), show_default="benchmarks/results", help="Folder for JSON and plot."
)
def main(
    *,
    rounds: int,
    seconds: int,
    connections: int,
    token: str,
    quick: bool,
    targets: tuple[str, ...],
    scenarios: tuple[str, ...],
    output: Path,
) -> None:
    """Compare our speed with the real bao."""
    settings = Settings(rounds=rounds, seconds=seconds, warmup_seconds=2, connections=connections, token=token)
    if quick:
        settings = Settings(rounds=1, seconds=1, warmup_seconds=1, connections=connections, token=token)
    chosen = tuple(scenario for scenario in SCENARIOS if not scenarios or scenario.name in scenarios)
    signal.signal(signal.SIGTERM, _exit)
    try:
        require_wrk()
        results = _run(targets or tuple(TARGETS), chosen, settings)
    except LoadError as error:
        sys.exit(str(error))
    print_table(results)
    output.mkdir(parents=True, exist_ok=True)
    write_json(results, settings, output / "latest.json")
    write_plot(results, output / "latest.png")
    print(f"written: {output / 'latest.json'}, {output / 'latest.png'}")


def _run(names: tuple[str, ...], scenarios: tuple[Scenario, ...], settings: Settings) -> tuple[Result, ...]:
    console = Console(stderr=True)
    with _started(names, console) as targets:
        return tuple(result for scenario in scenarios for result in measure(scenario, targets, settings, console.print))


@contextmanager
def _started(names: tuple[str, ...], console: Console) -> Iterator[tuple[Target, ...]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="health-vault-bench-", ignore_cleanup_errors=True)))
        folder.chmod(0o755)  # PostgreSQL never runs as root, it has to reach its folder as somebody else
        targets = []
        for name in names:
            console.print(f"starting and filling {name}")
            (folder / name).mkdir()
            targets.append(stack.enter_context(TARGETS[name](folder / name)))
        yield tuple(targets)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(1)  # unwinds, so that every server is stopped


if __name__ == "__main__":
    main()
