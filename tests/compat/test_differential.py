"""Sends the same requests to the reference server and to ours and compares the answers.

Surprise: with HEALTH_VAULT_COMPAT_TARGET=bao the reference is compared with a second reference, which proves the normalisation.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.compat.differential import (
    address,
    approle,
    auth_cert,
    auth_kubernetes,
    identity,
    jwt,
    kv1,
    kv2,
    leases,
    mfa,
    mounts,
    oidc,
    operations,
    policies,
    rotation,
    system,
    tokens,
    userpass,
)
from tests.compat.differential.case import Case, run_table
from tests.compat.differential.normalise import body_problem, header_problem, status_problem
from tests.compat.server_process import BAO, ROOT_TOKEN, Server, dev_server
from tests.compat.wire import NO_ANSWER, Answer

TABLES: dict[str, tuple[Case, ...]] = {
    "address": address.TABLE,
    "approle": approle.TABLE,
    "identity": identity.TABLE,
    "jwt": jwt.TABLE,
    "auth_cert": auth_cert.TABLE,
    "auth_kubernetes": auth_kubernetes.TABLE,
    "kv1": kv1.TABLE,
    "kv2": kv2.TABLE,
    "leases": leases.TABLE,
    "mfa": mfa.TABLE,
    "mounts": mounts.TABLE,
    "oidc": oidc.TABLE,
    "operations": operations.TABLE,
    "policies": policies.TABLE,
    "rotation": rotation.TABLE,
    "system": system.TABLE,
    "tokens": tokens.TABLE,
    "userpass": userpass.TABLE,
}
Pair = tuple[Answer, Answer]


@pytest.fixture(scope="module")
def pair(target: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """Run two fresh servers side by side; fresh, because rows count mounts, policies and tokens."""
    with ExitStack() as stack:
        reference = stack.enter_context(dev_server(BAO, tmp_path_factory.mktemp("reference")))
        yield reference, stack.enter_context(dev_server(target, tmp_path_factory.mktemp("target")))


@pytest.fixture(scope="module")
def answers(pair: tuple[Server, Server]) -> dict[str, list[Pair]]:
    """Send every table to both servers once."""
    reference, ours = (server.anonymous for server in pair)
    return {
        name: list(zip(run_table(reference, table, ROOT_TOKEN), run_table(ours, table, ROOT_TOKEN), strict=True))
        for name, table in TABLES.items()
    }


ROWS = [
    pytest.param(name, number, id=f"{name}-{number:03}-{case.name}") for name, table in TABLES.items() for number, case in enumerate(table)
]


@pytest.mark.parametrize(("table", "number"), ROWS)
def test_answer_equals_reference(target: str, answers: dict[str, list[Pair]], table: str, number: int) -> None:
    """Ours answers each request with the reference's status, body and headers, apart from the listed differences."""
    case = TABLES[table][number]
    reference, ours = answers[table][number]
    if target == BAO and reference.status in (NO_ANSWER, 500):
        pytest.skip("the reference itself fails on this input")
    problems = [status_problem(case, reference, ours), body_problem(case, reference, ours)]
    if ours.status != NO_ANSWER and reference.headers.get("cache-control"):
        problems.append(header_problem(reference, ours, cached=case.cached))
    assert not any(problems), f"{case.name}\n" + "\n".join(filter(None, problems)) + f"\nraw ours: {ours.body[:600]!r}"
