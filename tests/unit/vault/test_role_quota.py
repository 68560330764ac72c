"""Quotas of a role: known only once a login was read, and still before any slow work."""

from typing import Any

import pytest

from tests.unit.vault.modules.identity.mfa.door import Clinic
from vault.errors import InvalidRequest, RateLimited
from vault.lease_quota import count_leases
from vault.quota import read_table

KINDS = ({"rate-limit": {"rate": 1}}, {"lease-count": {"max_leases": 1}})
MOUNT = "auth/main/door"


@pytest.fixture
def clinic() -> Clinic:
    """Return a host with an auth method that has roles."""
    return Clinic()


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", 'Mount path "" is not a valid auth method and therefore unsuitable for use with role-based quotas'),
        ("cubbyhole", 'Mount path "cubbyhole/" is not a valid auth method'),
        ("auth/token", 'Mount path "auth/token/" does not support use with role-based quotas'),
        (f"{MOUNT}/login", "Quotas cannot contain both a path suffix and a role"),
        (f"{MOUNT}/log*", "Quotas cannot contain both a path suffix and a role"),
        ("auth/nosuch", "invalid mount path"),
    ],
)
def test_only_auth_mounts_have_roles(clinic: Clinic, kind: dict[str, dict[str, Any]], path: str, words: str) -> None:
    """And of those only some."""
    for name, fields in kind.items():
        with pytest.raises(InvalidRequest, match=words):
            clinic.write(f"sys/quotas/{name}/q", path=path, role="x", **fields)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_bad_roles_are_refused(clinic: Clinic, kind: dict[str, dict[str, Any]]) -> None:
    """Too long, or not to be printed; and a second quota for one role."""
    for name, fields in kind.items():
        for role in ("x" * 600, "a\0", "a\nb"):
            with pytest.raises(InvalidRequest, match="a character that is not allowed"):
                clinic.write(f"sys/quotas/{name}/q", path=MOUNT, role=role, **fields)
        clinic.write(f"sys/quotas/{name}/q", path=MOUNT, role="x", **fields)
        clinic.write(f"sys/quotas/{name}/other", path=MOUNT, role="y", **fields)
        with pytest.raises(InvalidRequest, match='similar properties exists under the name "q"'):
            clinic.write(f"sys/quotas/{name}/twin", path=MOUNT, role="x", **fields)
        assert clinic.read(f"sys/quotas/{name}/q")["role"] == "x"


@pytest.mark.parametrize("max_leases", [0, -1, 1.5, True, "x", 2**40, float("nan")])
def test_bad_numbers_of_leases_are_refused(clinic: Clinic, max_leases: object) -> None:
    """Nothing is stored."""
    with pytest.raises(InvalidRequest):
        clinic.write("sys/quotas/lease-count/q", max_leases=max_leases)
    assert clinic.list("sys/quotas/lease-count") == ()


def test_a_role_has_a_limit_of_its_own(clinic: Clinic) -> None:
    """For each client, over all workers; other roles and requests have theirs."""
    clinic.write("sys/quotas/rate-limit/q", path=MOUNT, role="ann", rate=2, interval="1h")
    other = clinic.worker()
    clinic.login()
    clinic.login(worker=other)
    with pytest.raises(RateLimited, match='request path "auth/main/door/login/ann": rate limit quota exceeded'):
        clinic.login()
    assert clinic.login("ben").auth
    clinic.write("sys/quotas/config", rate_limit_exempt_paths=[f"{MOUNT}/*"])
    assert clinic.login().auth


def test_a_limit_of_a_role_is_none_of_a_path(clinic: Clinic) -> None:
    """The gate, which knows no role, lets all pass."""
    clinic.write("sys/quotas/rate-limit/q", path=MOUNT, role="ann", rate=1, interval="1h")
    for _ in range(3):
        assert clinic.first.gate.admit(f"{MOUNT}/login/ann", "192.0.2.1") is None


def test_leases_of_a_role_are_known_from_the_token(clinic: Clinic) -> None:
    """Also those that were made before the quota."""
    clinic.login("ben")
    clinic.write("sys/quotas/lease-count/q", path=MOUNT, role="ann", max_leases=5)
    reader = clinic.first.store.read()
    assert count_leases(reader, read_table(reader).stored.leases["q"]) == 1
