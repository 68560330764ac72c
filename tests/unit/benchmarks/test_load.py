import json

import pytest

from benchmarks.load import LoadError, _parse_outcome

GOOD = {"requests": 5_000, "duration_us": 2_000_000, "p50_us": 1_500, "p99_us": 9_000, "refused": 0, "broken": 0}


@pytest.mark.parametrize("flaw", [{"refused": 1}, {"broken": 1}, {"requests": 0}])
def test_load_fails_on_a_flaw(flaw: dict[str, int]) -> None:
    """One refused or broken request, or none at all, makes the round worthless."""
    with pytest.raises(LoadError):
        _parse_outcome(json.dumps({**GOOD, **flaw}), "read")


def test_load_reads_the_last_line() -> None:
    """The script's line comes after what wrk itself prints; microseconds become seconds and milliseconds."""
    load = _parse_outcome("Running 2s test\n  Latency 1ms\n\n" + json.dumps(GOOD) + "\n", "read")
    assert (load.requests, load.ops_per_second, load.p50_ms, load.p99_ms) == (5_000, 2_500.0, 1.5, 9.0)
