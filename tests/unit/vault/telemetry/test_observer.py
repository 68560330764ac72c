import pytest

from vault.errors import DeniedByPolicy, InvalidRequest, NotFound, RateLimited, Sealed, StorageUnavailable
from vault.host import HostPage
from vault.logical.operation import Operation
from vault.logical.request import Request
from vault.telemetry import layout
from vault.telemetry.collector import Facts, Metrics
from vault.telemetry.layout import Number
from vault.telemetry.observer import Observer, Shared
from vault.telemetry.sampler import Sampler

READ = Request(id="r", operation=Operation.READ, path="a")
NOTHING = Facts(unsealed=False, mounts=None, tokens=None, leases=None, devices=())


@pytest.fixture
def observers() -> tuple[Observer, Observer]:
    """Return the observers of two workers of one host."""
    shared = Shared(2, HostPage())
    first, second = Observer(shared), Observer(shared)
    assert first.start()
    assert second.start()
    return first, second


def lines(observer: Observer, facts: Facts = NOTHING) -> set[str]:
    """Return the lines of the metrics."""
    return set(Metrics(observer, lambda: facts).text().decode().splitlines())


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "ok"),
        (DeniedByPolicy(), "denied"),
        (RateLimited("a", limit=1, reset_seconds=1), "limited"),
        (InvalidRequest(), "refused"),
        (NotFound(), "refused"),
        (Sealed(), "failed"),
        (StorageUnavailable(), "failed"),
        (KeyError("x"), "failed"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value,
)
def test_outcomes_are_told_apart(error: BaseException | None, outcome: str) -> None:
    """Whose fault an error is shows in the metrics."""
    assert layout.OUTCOMES[layout.find_outcome(error)] == outcome


def test_workers_add_up(observers: tuple[Observer, Observer]) -> None:
    """Each worker tells what both have counted, with times in buckets."""
    for observer in observers:
        observer.count_request(READ, "m/", 0.002, None)
        observer.count_request(READ, "m/", 9.0, Sealed())
    for observer in observers:
        found = lines(observer)
        assert 'vault_requests_total{mount="m/",operation="read",outcome="ok"} 2.0' in found
        assert 'vault_requests_total{mount="m/",operation="read",outcome="failed"} 2.0' in found
        assert 'vault_request_duration_seconds_bucket{le="0.0025",mount="m/",operation="read"} 2.0' in found
        assert 'vault_request_duration_seconds_bucket{le="5.0",mount="m/",operation="read"} 2.0' in found
        assert 'vault_request_duration_seconds_bucket{le="+Inf",mount="m/",operation="read"} 4.0' in found
        assert "vault_core_handle_request_count 4.0" in found


def test_labels_are_bounded(observers: tuple[Observer, Observer]) -> None:
    """However many mounts come and go, there is room; those that are too many share a name."""
    first, second = observers
    for number in range(2 * layout.MOUNTS_MAX):
        (first, second)[number % 2].count_request(READ, f"mount-{number}/", 0.1, None)
    names = [name for name, _ in first.list_mounts()]
    assert len(names) == layout.MOUNTS_MAX
    found = lines(second)
    series = [line for line in found if line.startswith("vault_requests_total")]
    assert sum(float(line.rsplit(" ", 1)[1]) for line in series) == 2 * layout.MOUNTS_MAX
    assert any('mount="other"' in line for line in series)
    first.count_request(READ, "m" * 5000, 0.1, None)
    assert len([line for line in lines(first) if line.startswith("vault_requests_total")]) == len(series)


def test_states_of_the_dead_end_and_totals_stay() -> None:
    """What a worker that ended has counted stays; what was true of it is not told any more."""
    shared = Shared(2, HostPage())
    observer = Observer(shared)
    observer.start()
    observer.add(Number.CACHE_HITS, 5)
    observer.set(Number.POOL_IN_USE, 3)
    heir = Observer(shared)  # as the next holder of the same piece
    heir._use(shared.regions.region(0))
    for number in range(layout.FIRST_GAUGE, layout.NUMBERS):
        heir.set(number, 0)
    found = lines(heir)
    assert "vault_cache_hit 5.0" in found
    assert "vault_database_connections_in_use 0.0" in found


def test_devices_are_named_by_those_that_exist(observers: tuple[Observer, Observer]) -> None:
    """Records are counted by device and by what became of them."""
    first, second = observers
    first.count_record("request", accepted=True, taken=(3,), refused=())
    second.count_record("request", accepted=False, taken=(), refused=(3,))
    found = lines(first, Facts(unsealed=True, mounts={"auth": 1}, tokens=4, leases=2, devices=((3, "file/"),)))
    assert 'vault_audit_device_records_total{device="file/",outcome="accepted"} 1.0' in found
    assert 'vault_audit_device_records_total{device="file/",outcome="refused"} 1.0' in found
    assert "vault_audit_log_request_failure 1.0" in found
    assert {"vault_core_unsealed 1.0", "vault_token_count 4.0", "vault_expire_num_leases 2.0"} <= found


def test_what_cannot_be_known_is_not_told(observers: tuple[Observer, Observer]) -> None:
    """Sealed or without storage there is no number of tokens, not a zero."""
    assert not [line for line in lines(observers[0]) if "token_count" in line or "num_leases" in line]


def test_observer_before_the_fork_counts_for_itself() -> None:
    """Without a piece nothing fails and nobody sees anything."""
    observer = Observer(Shared(1, HostPage()))
    observer.count_request(READ, "m/", 0.1, None)
    assert not [line for line in lines(observer) if line.startswith("vault_requests_total")]
    idle = Observer()
    with idle.watch(READ):
        pass
    assert not idle.start()


def test_counts_are_remembered_by_all_workers(observers: tuple[Observer, Observer]) -> None:
    """Counting tokens and leases is done once in a while, by whichever worker is asked first."""
    asked: list[int] = []

    def count() -> tuple[int, int]:
        asked.append(1)
        return 7, 8

    assert [observer.remember_counts(count, 60) for observer in observers] == [(7, 8), (7, 8)]
    assert asked == [1]


def test_sampler_brings_growth_once(observers: tuple[Observer, Observer]) -> None:
    """What a part has counted is added once, also when the part begins again; states are what they are now."""
    values = {"hits": 10, "in use": 1}
    sampler = Sampler(observers[0], {Number.CACHE_HITS: lambda: values["hits"]}, {Number.POOL_IN_USE: lambda: values["in use"]})
    sampler.sample()
    sampler.sample()
    values["hits"] = 3
    values["in use"] = 0
    sampler.sample()
    found = lines(observers[1])
    assert {"vault_cache_hit 13.0", "vault_database_connections_in_use 0.0"} <= found
