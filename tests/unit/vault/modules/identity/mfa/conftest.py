"""Fixtures of the tests of MFA."""

import pytest

from tests.unit.vault.modules.identity.mfa.door import Clinic


@pytest.fixture
def clinic() -> Clinic:
    """Return a host with a method that nothing enforces."""
    return Clinic()
