import pytest
from msgspec import structs

from tests.unit.vault.modules.system.world import World
from vault.errors import OriginNotAllowed, RateLimited
from vault.logical.operation import Operation
from vault.logical.request import Request
from vault.quota import EXEMPT, QuotaConfig, Rule, StoredQuotas, Table


def rule(name: str, path: str) -> Rule:
    """Return a quota."""
    return Rule(name=name, path=path, rate=1, revision=name)


TABLE = Table(
    StoredQuotas(
        rules={
            name: rule(name, path)
            for name, path in {
                "all": "",
                "mount": "kv/",
                "exact": "kv/data/a",
                "star": "kv/data/*",
                "longer": "kv/data/b/*",
                "system": "sys/",
            }.items()
        }
    )
)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("other/x", "all"),
        ("", "all"),
        ("kv", "mount"),
        ("kv/", "mount"),
        ("kv/x", "mount"),
        ("kvx/y", "all"),
        ("kv/data/a", "exact"),
        ("kv/data/a/", "exact"),
        ("kv/data/ab", "star"),
        ("kv/data/a/b", "star"),
        ("kv/data", "star"),
        ("kv/data/b/c", "longer"),
        ("kv/data/b/", "longer"),
        ("sys/mounts", "system"),
        *((path, None) for path in EXEMPT),
        ("sys/health/x", "system"),
    ],
)
def test_most_specific_rule_decides(path: str, name: str | None) -> None:
    """A path beats a prefix, a prefix beats the mount, and the mount beats everything; exempt paths have no rule."""
    found = TABLE.find_rule(path)
    assert (found and found.name) == name


def test_exempt_prefix() -> None:
    """A star at the end of an exempt path takes what is below."""
    table = Table(StoredQuotas(rules={"all": rule("all", "")}, config=QuotaConfig(exempt_paths=("pki/*", "sys/x"))))
    assert table.find_rule("pki/crl") is None
    assert table.find_rule("sys/x") is None
    assert table.find_rule("sys/health") is not None


def test_clients_are_counted_apart_and_workers_together(world: World) -> None:
    """A limit is one for all workers, for each client; an IPv6 client is a network, and a mapped IPv4 address is that address."""
    world.write("sys/quotas/rate-limit/q", rate=2, interval="1h")
    second = world.worker()
    gates = (world.first.gate, second.gate)
    assert second.seal.is_open()
    for number in range(2):
        gates[number].admit("secret/a", "192.0.2.1")
        gates[number].admit("secret/a", f"2001:db8::{number}")
    for gate in gates:
        for address in ("192.0.2.1", "::ffff:192.0.2.1", "2001:db8::9"):
            with pytest.raises(RateLimited, match='request path "secret/a": rate limit quota exceeded'):
                gate.admit("secret/a", address)
        gate.admit("secret/a", "2001:db8:1::1")


def test_changed_rule_counts_anew(world: World) -> None:
    """A quota that is written again begins with full windows."""
    world.write("sys/quotas/rate-limit/q", rate=1, interval="1h")
    world.first.gate.admit("a", "192.0.2.1")
    with pytest.raises(RateLimited):
        world.first.gate.admit("a", "192.0.2.1")
    world.write("sys/quotas/rate-limit/q", rate=1, interval="1h")
    world.first.gate.admit("a", "192.0.2.1")


def test_sealed_host_keeps_its_quotas(world: World) -> None:
    """Sealing a server takes no limit away."""
    world.write("sys/quotas/rate-limit/q", rate=1, interval="1h")
    world.first.gate.admit("a", "192.0.2.1")
    world.write("sys/seal")
    with pytest.raises(RateLimited):
        world.first.gate.admit("a", "192.0.2.1")


def test_standing_is_told_only_if_asked_for(world: World) -> None:
    """What a client has left is told where the configuration says so."""
    world.write("sys/quotas/rate-limit/q", rate=3.5, interval="1h")
    assert world.first.gate.admit("a", "192.0.2.1") is None
    world.write("sys/quotas/config", enable_rate_limit_response_headers=True)
    standing = world.first.gate.admit("a", "192.0.2.1")
    assert standing is not None
    assert (standing.limit, standing.remaining, standing.reset_seconds) == (4, 2, 3600)


def test_rules_are_those_that_other_hosts_have_written(world: World) -> None:
    """A quota or an origin that another host has acknowledged holds for the next request here: the gate asks before it looks."""
    second, cache = world.worker(), world.first.store.cache
    news = [
        lambda: world.write("sys/quotas/rate-limit/q", rate=1, interval="1h", worker=second),
        lambda: world.write("sys/config/cors", allowed_origins="https://a", worker=second),
    ]
    cache.ask = lambda: news.pop(0)() if news else None
    world.first.gate.admit("a", "192.0.2.1")
    with pytest.raises(OriginNotAllowed):
        world.first.gate.check_origin("https://b")
    with pytest.raises(RateLimited):
        world.first.gate.admit("a", "192.0.2.1")


def test_request_that_the_gate_has_asked_for_costs_one_question(world: World) -> None:
    """Once is enough: all that was acknowledged before the request came was heard of then."""
    asked: list[str] = []
    world.first.store.cache.ask = lambda: asked.append("asked")
    request = Request(id="1", operation=Operation.READ, path="sys/seal-status")
    world.first.core.handle(structs.replace(request, heard=True))
    assert not asked
    world.first.core.handle(request)
    assert asked == ["asked"]
