"""Rounds and their medians. The servers take turns within every round, so that a slow moment of the machine meets all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.load import Load, run_load
from benchmarks.scenario import Scenario
from benchmarks.target import Target
from benchmarks.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How long and how hard to measure."""

    rounds: int
    seconds: int
    warmup_seconds: int
    connections: int
    token: str  # which kind of token asks


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One measured round of one server."""

    load: Load
    cpu_seconds: Usage
    pss_mib: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The medians of one server in one scenario, and the rounds they come from."""

    scenario: str
    target: str
    ops_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_seconds_per_1000: Usage
    pss_mib: Usage
    rounds: tuple[Round, ...]


def measure(
    scenario: Scenario, targets: Sequence[Target], settings: Settings, report_progress: Callable[[str], None]
) -> tuple[Result, ...]:
    """Warm every server up, then let them take turns."""
    rounds: dict[str, list[Round]] = {target.name: [] for target in targets}
    for target in targets:
        report_progress(f"{scenario.name}: warming {target.name}")
        _load(scenario, target, settings, settings.warmup_seconds)
    for number in range(1, settings.rounds + 1):
        for target in targets:
            report_progress(f"{scenario.name}: round {number} of {settings.rounds}, {target.name}")
            rounds[target.name].append(_measure_round(scenario, target, settings))
    return tuple(_summarise(scenario.name, name, tuple(found)) for name, found in rounds.items())


def _load(scenario: Scenario, target: Target, settings: Settings, seconds: int) -> Load:
    token = "" if scenario.public else target.tokens[settings.token]
    connections = min(settings.connections, scenario.connections_max)
    return run_load(scenario, address=target.address, token=token, connections=connections, seconds=seconds)


def _measure_round(scenario: Scenario, target: Target, settings: Settings) -> Round:
    before = target.read_cpu_seconds()
    load = _load(scenario, target, settings, settings.seconds)
    after = target.read_cpu_seconds()
    spent = Usage(server=after.server - before.server, database=after.database - before.database)
    return Round(load=load, cpu_seconds=spent, pss_mib=target.read_pss_mib())


def _summarise(scenario: str, target: str, rounds: tuple[Round, ...]) -> Result:
    def middle(read: Callable[[Round], float]) -> float:
        return median(read(found) for found in rounds)

    return Result(
        scenario=scenario,
        target=target,
        ops_per_second=middle(lambda found: found.load.ops_per_second),
        p50_ms=middle(lambda found: found.load.p50_ms),
        p99_ms=middle(lambda found: found.load.p99_ms),
        cpu_seconds_per_1000=Usage(
            server=middle(lambda found: found.cpu_seconds.server / found.load.requests * 1_000),
            database=middle(lambda found: found.cpu_seconds.database / found.load.requests * 1_000),
        ),
        pss_mib=Usage(server=middle(lambda found: found.pss_mib.server), database=middle(lambda found: found.pss_mib.database)),
        rounds=rounds,
    )
