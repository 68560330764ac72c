from typing import Any

import pytest

from vault.errors import PermissionDenied
from vault.logical.operation import Operation
from vault.modules.policy.acl import EMPTY_ACL, Acl, Decision, compile_acl
from vault.modules.policy.document import PolicyDocument, parse_policy

NOW = 1000.0
RESTRICTED = """
path "x/metadata/*" { capabilities = ["list"] }
path "x/metadata/restricted/*" { capabilities = ["deny"] }
"""
LIMITS_REFUSED: tuple[Any, ...] = (
    *(3, -1, 2**63, True, 1.0, ["1"], ["9", "1"], {"a": 1}),
    *("3", "-1", str(2**63), "9" * 40, "1e3", "0x1", "1.0", " 1", "1 ", "abc", "MAX", "-"),
)
LIMITS_ALLOWED: dict[Any, int] = {"": 2, "0": 2, 0: 2, "max": 2, "1": 1, 1: 1, "+1": 1, "01": 1, "2": 2}


def _acl(*texts: str, now: float = NOW, templates: dict[str, str] | None = None) -> Acl:
    return compile_acl([(f"p{index}", parse_policy(text)) for index, text in enumerate(texts)], now, templates)


def _decide(
    acl: Acl, operation: Operation, path: str, data: dict[Any, Any] | None = None, *, ttl: float | None = None, now: float = NOW
) -> Decision:
    return acl.decide(operation, path, data or {}, ttl, now)


@pytest.mark.parametrize("operation", [operation for operation in Operation if operation is not Operation.HELP])
def test_no_policy_allows_nothing(operation: Operation) -> None:
    """Without a rule every operation is refused."""
    assert not _decide(EMPTY_ACL, operation, "a").allowed
    assert EMPTY_ACL.capabilities("a", NOW) == ("deny",)
    assert not EMPTY_ACL.is_sudo("a", NOW)


@pytest.mark.parametrize(
    "path", ["x/metadata/restricted", "x/metadata/restricted/", "x/metadata/restricted/deep", "x/metadata/restricted/deep/"]
)
@pytest.mark.parametrize("operation", [Operation.LIST, Operation.SCAN])
def test_deny_on_a_folder_beats_the_grant_above(operation: Operation, path: str) -> None:
    """Listing a denied folder is refused with and without the slash at its end."""
    assert not _decide(_acl(RESTRICTED), operation, path).allowed
    assert _decide(_acl(RESTRICTED), Operation.LIST, "x/metadata/other").allowed


@pytest.mark.parametrize("names", [("root", "p"), ("p", "root"), ("ROOT",), ("root ",), ("Root",)])
def test_root_counts_only_alone_and_by_its_exact_name(names: tuple[str, ...]) -> None:
    """Beside another policy, or spelled otherwise, root is a name like any other."""
    acl = compile_acl([(name, PolicyDocument()) for name in names], NOW)
    assert not _decide(acl, Operation.READ, "a").allowed
    assert not acl.is_root


def test_root_may_do_everything() -> None:
    """The root policy alone allows every operation with sudo."""
    acl = compile_acl([("root", PolicyDocument())], NOW)
    for operation in Operation:
        decision = _decide(acl, operation, "sys/anything")
        assert (decision.allowed, decision.sudo, decision.granting_policies) == (True, True, ("root",))
    assert acl.capabilities("a", NOW) == ("root",)
    assert acl.is_sudo("a", NOW)


def test_help_is_open_to_all() -> None:
    """Path help needs no capability, not even where a deny stands."""
    assert _decide(_acl('path "a" { policy = "deny" }'), Operation.HELP, "a").allowed


def test_same_pattern_of_several_policies_is_merged() -> None:
    """Capabilities add up, each grant names its policies, deny ends it."""
    texts = ['path "a/*" { capabilities = ["read"] }', 'path "a/*" { capabilities = ["read", "sudo", "list"] }']
    decision = _decide(_acl(*texts), Operation.READ, "a/b")
    assert (decision.allowed, decision.sudo, decision.granting_policies) == (True, True, ("p0", "p1"))
    assert _decide(_acl(*texts), Operation.LIST, "a/b").granting_policies == ("p1",)
    denied = _acl(*texts, 'path "a/*" { capabilities = ["deny"] }')
    assert not _decide(denied, Operation.READ, "a/b").allowed
    assert not _decide(denied, Operation.READ, "a/b").sudo
    assert denied.capabilities("a/b", NOW) == ("deny",)


def test_sudo_is_told_of_refusals_too() -> None:
    """Sudo alone allows nothing."""
    acl = _acl('path "a" { capabilities = ["sudo"] }')
    assert _decide(acl, Operation.READ, "a") == Decision(allowed=False, sudo=True, reason="not granted")
    assert acl.is_sudo("a", NOW)


def test_capabilities_are_sorted() -> None:
    """The answer of sys/capabilities is in alphabetic order, without repetition."""
    acl = _acl('path "a" { capabilities = ["update", "scan", "read", "create", "patch", "list", "delete", "sudo"] }')
    assert acl.capabilities("a", NOW) == ("create", "delete", "list", "patch", "read", "scan", "sudo", "update")
    assert acl.capabilities("a/", NOW) == acl.capabilities("//a", NOW) == acl.capabilities("a", NOW)
    assert _acl('path "a" { }').capabilities("a", NOW) == ("deny",)


@pytest.mark.parametrize("limit", LIMITS_REFUSED)
def test_pagination_limit_holds_for_every_spelling(limit: Any) -> None:
    """A limit that is above, below zero, or no number at all is refused."""
    assert (
        not _decide(_acl('path "a" { capabilities = ["list"] pagination_limit = 2 }'), Operation.LIST, "a", {"limit": limit}).allowed
        or limit is None
    )


@pytest.mark.parametrize(("limit", "page"), LIMITS_ALLOWED.items())
def test_pagination_limit_bounds_the_page(limit: Any, page: int) -> None:
    """The handler is given what was asked for, or the bound where everything was asked for."""
    decision = _decide(_acl('path "a" { capabilities = ["list"] pagination_limit = 2 }'), Operation.LIST, "a", {"limit": limit})
    assert (decision.allowed, decision.pagination_limit) == (True, page)


def test_pagination_limit_without_a_limit() -> None:
    """Who names no limit gets the bound, or a refusal where the limit is a required parameter."""
    clauses = 'capabilities = ["list"] pagination_limit = 2'
    assert _decide(_acl(f'path "a" {{ {clauses} }}'), Operation.LIST, "a").pagination_limit == 2
    assert not _decide(_acl(f'path "a" {{ {clauses} required_parameters = ["limit"] }}'), Operation.LIST, "a").allowed
    unbounded = _acl('path "a" { capabilities = ["list"] }')
    assert _decide(unbounded, Operation.LIST, "a", {"limit": "max"}).pagination_limit == 0
    assert _decide(unbounded, Operation.LIST, "a", {"limit": "7"}).pagination_limit is None


def test_the_lowest_bound_of_several_policies_counts() -> None:
    """Pagination and both wrapping bounds take the lower of two values that restrict."""
    low = 'path "a" { capabilities = ["read", "list"] pagination_limit = 2 min_wrapping_ttl = 5 max_wrapping_ttl = 10 }'
    high = 'path "a" { pagination_limit = 9 min_wrapping_ttl = 7 max_wrapping_ttl = 20 }'
    for acl in (_acl(low, high), _acl(high, low), _acl(low, 'path "a" {}')):
        decision = _decide(acl, Operation.LIST, "a", ttl=6)
        assert (decision.min_wrapping_ttl_seconds, decision.max_wrapping_ttl_seconds, decision.pagination_limit) == (5, 10, 2)


@pytest.mark.parametrize(("ttl", "allowed"), [(None, False), (0, False), (4, False), (5, True), (10, True), (11, False)])
def test_wrapping_ttl_stays_within_its_bounds(ttl: float | None, allowed: bool) -> None:
    """A bound asks for wrapping, and for a TTL within."""
    acl = _acl('path "a" { capabilities = ["read"] min_wrapping_ttl = 5 max_wrapping_ttl = 10 }')
    assert _decide(acl, Operation.READ, "a", ttl=ttl).allowed is allowed


def test_maximum_alone_asks_for_wrapping() -> None:
    """An answer that is not wrapped would live longer than any maximum."""
    acl = _acl('path "a" { capabilities = ["read"] max_wrapping_ttl = 10 }')
    assert [_decide(acl, Operation.READ, "a", ttl=ttl).allowed for ttl in (None, 0, 1, 10, 11)] == [False, False, True, True, False]


def test_wrapping_bounds_that_cross_after_the_merge_allow_nothing() -> None:
    """A minimum above the maximum can arise from two policies: then no TTL is right."""
    acl = _acl('path "a" { capabilities = ["read"] min_wrapping_ttl = 50 }', 'path "a" { max_wrapping_ttl = 10 }')
    assert not any(_decide(acl, Operation.READ, "a", ttl=ttl).allowed for ttl in (None, 5, 10, 30, 50, 60))


def test_parameters_are_looked_at_where_an_operation_has_fields() -> None:
    """Reads and writes are checked, deletes and lists are not."""
    acl = _acl('path "a" { capabilities = ["create", "read", "update", "patch", "delete", "list"] denied_parameters = { "x" = [] } }')
    for operation in (Operation.CREATE, Operation.READ, Operation.UPDATE, Operation.PATCH):
        assert not _decide(acl, operation, "a", {"x": 1}).allowed
        assert _decide(acl, operation, "a", {"y": 1}).allowed
    assert _decide(acl, Operation.DELETE, "a", {"x": 1}).allowed
    assert _decide(acl, Operation.LIST, "a", {"x": 1}).allowed


def test_expired_blocks_do_not_count() -> None:
    """A grant ends and a deny ends, by the time of the decision and not of the compilation, in whatever order time is asked."""
    acl = _acl(
        'path "a" { capabilities = ["read"] }\npath "a" { capabilities = ["update"] expiration = "2000" }',
        'path "a" { capabilities = ["deny"] expiration = "1500" }',
    )
    seen = {now: acl.capabilities("a", now) for now in (1000.0, 1500.0, 1500.5, 2000.0, 2000.5, 1800.0, 1200.0)}
    denied, both, left = ("deny",), ("read", "update"), ("read",)
    assert seen == {1000.0: denied, 1500.0: denied, 1500.5: both, 2000.0: both, 2000.5: left, 1800.0: both, 1200.0: denied}
    assert _decide(acl, Operation.UPDATE, "a", now=1999.0).allowed
    assert not _decide(acl, Operation.UPDATE, "a", now=2001.0).allowed


def test_block_counts_up_to_its_last_moment() -> None:
    """At the very moment of its expiration a block still counts, also when it is compiled then."""
    text = 'path "a" { capabilities = ["read"] expiration = "2000" }'
    assert _acl(text, now=2000.0).capabilities("a", 2000.0) == ("read",)
    assert _acl(text, now=2000.5).capabilities("a", 2000.5) == ("deny",)


@pytest.mark.parametrize("value", ["*", "a*", "+", "a/b", "a,b", "..", "{{x}}", "a}"])
def test_unsafe_template_value_refuses_the_request(value: str) -> None:
    """A value that would change what the pattern means is refused for the whole request: it may stand in a deny."""
    with pytest.raises(PermissionDenied):
        _acl('path "a/{{identity.entity.id}}" { capabilities = ["deny"] }', templates={"identity.entity.id": value})


def test_template_is_filled_in() -> None:
    """A value takes its place in the pattern; a block without its value is left out."""
    text = 'path "a/{{ identity.entity.id }}/*" { capabilities = ["read"] }\npath "b/{{identity.entity.name}}" { capabilities = ["read"] }'
    acl = _acl(text, templates={"identity.entity.id": "e1"})
    assert _decide(acl, Operation.READ, "a/e1/x").allowed
    assert acl.list_patterns(NOW) == (("a/e1/*", ("read",)),)
    assert _acl(text).list_patterns(NOW) == ()


@pytest.mark.parametrize(
    ("pattern", "capability", "granted"),
    [
        ("kv/a/b", "read", True),
        ("kv/*", "read", True),
        ("k*", "read", True),
        ("*", "list", True),
        ("+/a/b", "read", True),
        ("kv/+/b", "read", True),
        ("kv/a/b", "deny", False),
        ("other/*", "read", False),
        ("kv", "read", True),
        ("+/*", "read", True),
        ("+", "read", True),
        ("kv2/+/b", "read", False),
    ],
)
def test_grants_below_a_mount(pattern: str, capability: str, granted: bool) -> None:
    """A mount is shown to whoever is granted anything in it."""
    assert _acl(f'path "{pattern}" {{ capabilities = ["{capability}"] }}').grants_below("kv/", NOW) is granted
