"""OpenAPI 3.0.2 from path tables: the whole document of a server, and the fragment of one row that path help carries.

Schemas of bodies are components, named after mount and path: web clients look them up by reference and draw forms from them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vault.logical.args import Arg, list_args
from vault.logical.backend import Endpoint, Path
from vault.logical.operation import Operation
from vault.version import VERSION

_METHODS = {Operation.READ: "get", Operation.CREATE: "post", Operation.UPDATE: "post", Operation.PATCH: "patch", Operation.DELETE: "delete"}
_CAPTURE = re.compile(r"\{(\w+)\*?\}")
_MEDIA = {Operation.PATCH: "application/merge-patch+json"}
_JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The rows of one mount. `variables` are captures that the prefix itself has, with their defaults."""

    prefix: str  # such as `sys/`; empty in path help
    tag: str
    rows: tuple[Path, ...]
    variables: Mapping[str, str]


def build_document(sections: Iterable[Section]) -> dict[str, Any]:
    """Return the document of some mounts."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for section in sections:
        for row in section.rows:
            for pattern in row.patterns:
                place = "/" + _CAPTURE.sub(r"{\1}", section.prefix + pattern)
                paths.setdefault(place, _describe_row(section, row, place, schemas))
    return {
        "openapi": "3.0.2",
        "info": {
            "title": "Health Vault API",
            "description": "HTTP API of Health Vault. All routes are below `/v1/`.",
            "version": VERSION,
            "license": {"name": "Mozilla Public License 2.0", "url": "https://www.mozilla.org/en-US/MPL/2.0"},
        },
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": dict(sorted(schemas.items()))},
    }


def _describe_row(section: Section, row: Path, place: str, schemas: dict[str, Any]) -> dict[str, Any]:
    captured = tuple(_CAPTURE.findall(place))
    known = {item.wire: item for endpoint in row.operations.values() for item in list_args(endpoint.args)}
    item: dict[str, Any] = {"description": row.help}
    if captured:
        item["parameters"] = [_describe_capture(name, known.get(name), section.variables.get(name)) for name in captured]
    if row.exists is not None:
        item["x-vault-createSupported"] = True
    if any(endpoint.public for endpoint in row.operations.values()):
        item["x-vault-unauthenticated"] = True
    if any(endpoint.sudo for endpoint in row.operations.values()):
        item["x-vault-sudo"] = True
    for operation, endpoint in row.operations.items():
        if operation in _METHODS:
            item[_METHODS[operation]] = _describe_operation(section, place, operation, endpoint, captured=captured, schemas=schemas)
    if Operation.LIST in row.operations:
        _add_listing(section, place, row, captured, item)
    return item


def _describe_capture(name: str, known: Arg | None, default: str | None) -> dict[str, Any]:
    schema = dict(known.kind.schema) if known else {"type": "string"}
    if default is not None:
        schema["default"] = default
    text = known.help if known else "Where the backend is mounted." if default is not None else ""
    return {"name": name, "in": "path", "required": True, "description": text, "schema": schema}


def _operation(section: Section, place: str, verb: str, endpoint: Endpoint, row_help: str = "") -> dict[str, Any]:
    words = re.findall(r"\w+", place.replace("_", "-"))
    return {
        "summary": endpoint.summary or row_help,
        "operationId": "-".join((*words, verb)),
        "tags": [section.tag],
        "responses": {"200": {"description": "OK"}},
    }


def _query_parameters(endpoint: Endpoint, captured: tuple[str, ...]) -> list[dict[str, Any]]:
    found = (item for item in list_args(endpoint.args) if item.query and item.wire not in captured)
    return [{"name": item.wire, "in": "query", "description": item.help, "schema": dict(item.kind.schema)} for item in found]


def _describe_operation(
    section: Section, place: str, operation: Operation, endpoint: Endpoint, *, captured: tuple[str, ...], schemas: dict[str, Any]
) -> dict[str, Any]:
    described = _operation(section, place, operation.value, endpoint)
    if not operation.writes:
        parameters = _query_parameters(endpoint, captured)
        return described | {"parameters": parameters} if parameters else described
    fields = [item for item in list_args(endpoint.args) if item.wire not in captured]
    described["responses"] = {"200": {"description": "OK"}, "204": {"description": "Done; nothing to say."}}
    if fields or endpoint.free:
        name = _schema_name(place, operation)
        schemas[name] = _describe_fields(fields, free=endpoint.free)
        schema = {"$ref": f"#/components/schemas/{name}"}
        described["requestBody"] = {"required": True, "content": {_MEDIA.get(operation, _JSON): {"schema": schema}}}
    return described


def _schema_name(place: str, operation: Operation) -> str:
    words = re.findall(r"[A-Za-z0-9]+", place)
    return "".join(word[:1].upper() + word[1:] for word in words) + ("Patch" if operation is Operation.PATCH else "") + "Request"


def _describe_fields(fields: list[Arg], *, free: bool) -> dict[str, Any]:
    properties = {item.wire: dict(item.kind.schema) | {"description": item.help} | _describe_default(item) for item in fields}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    required = [item.wire for item in fields if item.required]
    if required:
        schema["required"] = required
    return schema | {"additionalProperties": True} if free else schema


def _describe_default(item: Arg) -> dict[str, Any]:
    return {"default": item.default} if isinstance(item.default, str | int) and item.default not in ("", None) else {}


def _add_listing(section: Section, place: str, row: Path, captured: tuple[str, ...], item: dict[str, Any]) -> None:
    """Describe a listing as a read with `list`: OpenAPI has no LIST."""
    endpoint = row.operations[Operation.LIST]
    schema = {"type": "string", "enum": ["true"]}
    listing: dict[str, Any] = {"name": "list", "in": "query", "description": "`true` lists.", "schema": schema}
    if "get" not in item:
        listing["required"] = True
        item["get"] = _operation(section, place, "list", endpoint, row.help)
    known = {parameter["name"] for parameter in item["get"].get("parameters", [])}
    extra = [parameter for parameter in _query_parameters(endpoint, captured) if parameter["name"] not in known]
    item["get"]["parameters"] = [*item["get"].get("parameters", []), listing, *extra]
