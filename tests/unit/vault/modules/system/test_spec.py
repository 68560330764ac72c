"""The OpenAPI document and the help of single paths: both come from the path tables."""

import json
import re
from typing import Any

import pytest

from tests.unit.vault.modules.system.world import World
from vault.errors import PermissionDenied
from vault.logical.operation import Operation

METHODS = {"get", "post", "delete", "patch"}


def document(world: World, token: str | None = "root-token", **fields: Any) -> dict[str, Any]:
    """Return the document that a caller gets."""
    response = world.send(Operation.READ, "sys/internal/specs/openapi", fields, token=token)
    assert response is not None
    assert response.body is not None
    found: dict[str, Any] = json.loads(response.body)
    return found


def test_document_needs_a_good_token_or_none(world: World) -> None:
    """A bad token is refused; no token sees no paths."""
    with pytest.raises(PermissionDenied):
        document(world, "nosuch")
    assert document(world, None)["paths"] == {}


def test_document_has_the_shape_of_openapi(world: World) -> None:
    """Every path parameter is declared, every reference resolves, every operation has an id of its own and a response."""
    world.write("sys/mounts/two", type="kv-v2")
    found = document(world)
    assert found["openapi"] == "3.0.2"
    assert {"title", "version"} <= found["info"].keys()
    ids = []
    for place, item in found["paths"].items():
        assert place.startswith("/")
        assert "*" not in place
        declared = {parameter["name"] for parameter in item.get("parameters", [])}
        assert declared == set(re.findall(r"\{(\w+)\}", place)), place
        assert METHODS & item.keys(), place
        for method in METHODS & item.keys():
            ids.append(item[method]["operationId"])
            assert item[method]["responses"]
            for content in item[method].get("requestBody", {}).get("content", {}).values():
                assert content["schema"]["$ref"].removeprefix("#/components/schemas/") in found["components"]["schemas"]
    assert len(ids) == len(set(ids))
    for place in (
        "/sys/mounts",
        "/sys/mounts/{path}",
        "/sys/mounts/{path}/tune",
        "/auth/token/create",
        "/two/data/{path}",
        "/cubbyhole/{path}",
    ):
        assert place in found["paths"], place


def test_document_shows_mounts_that_the_caller_reaches(world: World) -> None:
    """Mounts without any right for the caller are left out."""
    world.write("sys/mounts/one", type="kv")
    world.write("sys/mounts/two", type="kv")
    places = document(world, world.holder('path "one/x" { capabilities = ["read"] }'))["paths"]
    assert set(places) == {"/one/{path}"}


def test_mount_paths_become_variables(world: World) -> None:
    """On demand mounts of the operator are written with a variable that has the real path as default."""
    world.write("sys/mounts/a/b", type="kv")
    item = document(world, generic_mount_paths="true")["paths"]["/{a_b_mount_path}/{path}"]
    (variable,) = [parameter for parameter in item["parameters"] if parameter["name"] == "a_b_mount_path"]
    assert variable["schema"]["default"] == "a/b"


def ask(world: World, path: str, token: str | None = "root-token") -> dict[str, Any]:
    """Return the help of a path."""
    response = world.send(Operation.HELP, path, {}, token=token)
    assert response is not None
    assert response.body is not None
    found: dict[str, Any] = json.loads(response.body)
    return found


def test_help_needs_a_token(world: World) -> None:
    """Help is not public."""
    with pytest.raises(PermissionDenied):
        ask(world, "sys/mounts", None)


@pytest.mark.parametrize("path", ["sys/mounts", "sys/policies/acl/x", "auth/token/create", "cubbyhole/x", "sys/tools/random"])
def test_help_carries_text_and_fragment(world: World, path: str) -> None:
    """The help of a path is its text and the description of this one row."""
    found = ask(world, path)
    assert found.keys() == {"help", "see_also", "openapi"}
    assert "## DESCRIPTION" in found["help"]
    assert found["openapi"]["paths"]


def test_help_names_the_fields(world: World) -> None:
    """Fields of the body are in the text and in the schema, with what they are."""
    found = ask(world, "sys/mounts/x")
    (schema,) = found["openapi"]["components"]["schemas"].values()
    assert {"type", "description", "config", "options"} <= schema["properties"].keys()
    assert "path" not in schema["properties"]
    for name in schema["properties"]:
        assert f"    {name} (" in found["help"]


def test_help_of_a_mount_lists_its_paths(world: World) -> None:
    """The mount's own path answers with its table."""
    world.write("sys/mounts/two", type="kv-v2")
    found = ask(world, "two/")
    assert "## PATHS" in found["help"]
    assert "subkeys/{path*}" in found["help"]
