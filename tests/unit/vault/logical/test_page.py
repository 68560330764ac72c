"""Pages of listings: what is refused, and what stands for all."""

import pytest

from vault.errors import InvalidRequest
from vault.logical.args import list_args, parse_args
from vault.logical.page import Page
from vault.modules.auth.methods.approle.secret_id import AccessorPage
from vault.modules.auth.methods.jwt.role import ListRoles


def parse(schema: type, **fields: object) -> Page:
    """Return the page that fields of a query ask for."""
    page = parse_args(schema, fields, {"role_name": "r"})
    assert isinstance(page, Page)
    return page


@pytest.mark.parametrize("schema", [Page, ListRoles, AccessorPage])
@pytest.mark.parametrize("limit", ["x", "1.5", True, float("nan"), 2**63, ["1", "2"]])
def test_limit_that_is_no_number_is_refused(schema: type, limit: object) -> None:
    """A limit is a whole number, wherever it is asked for."""
    with pytest.raises(InvalidRequest, match="limit"):
        parse(schema, limit=limit)


def test_negative_limit_is_refused_by_roles_of_jwt_alone() -> None:
    """They are stricter than the other listings; zero is all for them as well."""
    with pytest.raises(InvalidRequest, match="limit"):
        parse(ListRoles, limit="-1")
    assert parse(ListRoles, limit="0").size is None
    assert parse(ListRoles, limit="2", after="a").size == 2


@pytest.mark.parametrize("schema", [Page, AccessorPage])
@pytest.mark.parametrize(("limit", "size"), [("-1", None), (-(2**63), None), ("", None), (0, None), ("1", 1), (7, 7)])
def test_no_limit_is_none(schema: type, limit: object, size: int | None) -> None:
    """Zero, less, and nothing list all."""
    assert parse(schema, limit=limit).size == size
    assert parse(schema).size is None
    assert parse(schema).after == ""


def test_other_arguments_come_first() -> None:
    """What the path names is read before the page: its refusal is told first."""
    assert [item.name for item in list_args(AccessorPage)] == ["role_name", "after", "limit"]
