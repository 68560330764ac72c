"""Numbers that no Python number holds. Surprise: the reference keeps them only in unversioned secrets, so some of this is ours alone."""

from __future__ import annotations

import pytest

from tests.compat.wire import Wire

ODD = b'{"big":9007199254740993,"bigger":18446744073709551616,"long":0.1234567890123456789,"one":1.0,"exp":1e3,"zero":-0,"deep":[-0.0]}'
HUGE = b'{"huge":1e400}'


def test_unversioned_secrets_keep_numbers_as_written(root: Wire, kv1: str) -> None:
    """Every digit, exponent and sign comes back."""
    assert root.put(f"{kv1}/a", ODD).status == 204
    assert b"9007199254740993" in root.get(f"{kv1}/a").body
    assert all(member in root.get(f"{kv1}/a").body for member in ODD.strip(b"{}").split(b","))


@pytest.mark.usefixtures("ours_only")
@pytest.mark.parametrize("text", [ODD, HUGE], ids=["odd", "huge"])
def test_numbers_survive_versions_patches_and_wrappings(root: Wire, kv1: str, kv2: str, text: bytes) -> None:
    """The same literal through both engines, a merge patch, and an answer that was wrapped."""
    members = text.strip(b"{}").split(b",")
    assert root.put(f"{kv1}/a", text).status == 204
    assert root.put(f"{kv2}/data/a", b'{"data":' + text + b"}").status == 200
    assert root.patch(f"{kv2}/data/a", b'{"data":{"more":1e5}}', Content_Type="application/merge-patch+json").status == 200
    for path in (f"{kv1}/a", f"{kv2}/data/a", f"{kv2}/data/a?version=1"):
        token = root.get(path, X_Vault_Wrap_TTL="60").json["wrap_info"]["token"]
        for body in (root.get(path).body, root.post("sys/wrapping/unwrap", {"token": token}).body):
            assert all(member in body for member in members), body
    assert b'"more":1e5' in root.get(f"{kv2}/data/a").body
