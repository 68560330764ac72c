from collections.abc import Iterator

from api.vault.status import STATUS, find_status
from vault import errors
from vault.errors import VaultError


def _list_kinds(kind: type[VaultError]) -> Iterator[type[VaultError]]:
    for special in kind.__subclasses__():
        if special.__module__ == errors.__name__:
            yield special
            yield from _list_kinds(special)


def test_every_kind_of_refusal_has_a_status() -> None:
    """No refusal is answered by accident: each direct kind stands in the table."""
    assert {kind for kind in _list_kinds(VaultError) if VaultError in kind.__bases__} <= STATUS.keys()


def test_special_cases_have_the_status_of_their_kind() -> None:
    """A refusal that is only worded differently has the same status."""

    class Special(errors.PermissionDenied):
        pass

    assert find_status(Special()) == 403
