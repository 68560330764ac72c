"""The compiled ACL decides as the literal model does. HEALTH_VAULT_POLICY_TRIPLES=1000000 runs the long version."""

from __future__ import annotations

import os
import random

import pytest

from tests.property.policy import model
from tests.property.policy.generate import make_path, make_policies, write_hcl
from vault.logical.operation import Operation
from vault.modules.policy.acl import Acl, compile_acl
from vault.modules.policy.document import PolicyDocument, parse_policy

TRIPLES = int(os.environ.get("HEALTH_VAULT_POLICY_TRIPLES", "50000"))
PATHS_PER_ACL = 25
OPERATIONS = tuple(operation for operation in Operation)
SEED = 20_260_101


def _compile(policies: list[list[model.Block]]) -> Acl:
    documents = [(f"p{index}", parse_policy(write_hcl(blocks))) for index, blocks in enumerate(policies)]
    return compile_acl([(name, PolicyDocument.decode(document.encode())) for name, document in documents], 0.0)


@pytest.mark.timeout(1800)
def test_acl_decides_as_the_model_does() -> None:
    """For random policies and paths every operation is decided as the model decides it."""
    source = random.Random(SEED)
    for _ in range(TRIPLES // (PATHS_PER_ACL * len(OPERATIONS)) + 1):
        policies = make_policies(source)
        acl, merged = _compile(policies), model.merge(policies)
        for _ in range(PATHS_PER_ACL):
            path = make_path(source)
            decided = {operation.value: acl.decide(operation, path, {}, None, 1.0).allowed for operation in OPERATIONS}
            expected = {operation.value: model.allows(merged, operation.value, path) for operation in OPERATIONS}
            assert decided == expected, (policies, path)
            assert acl.capabilities(path, 1.0) == model.capabilities(merged, path), (policies, path)


def test_capabilities_never_disagree_with_decisions() -> None:
    """What sys/capabilities names is allowed and what it does not name is refused, folders asked with their slash."""
    source = random.Random(SEED + 1)
    for _ in range(400):
        policies = make_policies(source)
        acl = _compile(policies)
        for _ in range(PATHS_PER_ACL):
            path = make_path(source).rstrip("/")
            for operation in (operation for operation in OPERATIONS if operation is not Operation.HELP):
                named = operation.value in acl.capabilities(path + "/" if operation.enumerates else path, 1.0)
                assert named == acl.decide(operation, path, {}, None, 1.0).allowed, (policies, path, operation)


def test_granting_policies_are_those_that_name_the_operation() -> None:
    """Every policy named as granting holds a block with that capability, and there is at least one."""
    source = random.Random(SEED + 2)
    granted = 0
    for _ in range(300):
        policies = make_policies(source)
        acl = _compile(policies)
        for operation in (Operation.READ, Operation.LIST, Operation.UPDATE):
            decision = acl.decide(operation, make_path(source), {}, None, 1.0)
            for name in decision.granting_policies:
                assert any(operation.value in found for _, found in policies[int(name[1:])])
            assert bool(decision.granting_policies) == decision.allowed
            granted += decision.allowed
    assert granted > 50
