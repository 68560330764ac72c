"""Path help: what a path is for and which fields it takes, as text for people and as an OpenAPI fragment for programs.

Made from the path table alone. The help of a mount's own path lists its table.
"""

from typing import Any

from vault.logical import json
from vault.logical.args import Arg, NoArgs, list_args
from vault.logical.backend import Backend, Endpoint, Match
from vault.logical.context import SystemContext
from vault.logical.response import Response
from vault.openapi import Section, build_document


def answer_help(context: SystemContext, _: Any) -> Response:
    """Answer the help of the path that was asked for; of the whole backend where the path is the mount itself."""
    backend = context.backend
    rows = (context.match.path,) if context.path else backend.paths
    text = describe_path(context.path, context.match) if context.path else describe_backend(backend)
    document = build_document((Section(prefix="", tag=backend.kind, rows=rows, variables={}),))
    # A finished body: the row's own shape is about its data, not about help.
    return Response(body=json.encode({"help": text, "see_also": None, "openapi": document}))


ENDPOINT = Endpoint(handler=answer_help, args=NoArgs, summary="Describe the path.", free=True)


def describe_path(path: str, match: Match) -> str:
    """Return the help text of one path."""
    row = match.path
    fields: dict[str, Arg] = {item.wire: item for endpoint in row.operations.values() for item in list_args(endpoint.args)}
    parts = [f"Request:        {path}\nMatching Route: {' | '.join(row.patterns)}\n\n{row.help}"]
    if fields:
        listed = (f"    {name} ({fields[name].kind.name})\n\n        {fields[name].help}" for name in sorted(fields))
        parts.append("## PARAMETERS\n\n" + "\n\n".join(listed))
    operations = [f"    {operation.value}: {endpoint.summary or row.help}" for operation, endpoint in row.operations.items()]
    parts.append("\n".join(("## DESCRIPTION\n", row.description or row.help, "", *operations)))
    return "\n\n".join(parts) + "\n"


def describe_backend(backend: Backend) -> str:
    """Return the help text of a mount: its table."""
    rows = (f"    {' | '.join(row.patterns)}\n\n        {row.help}" for row in backend.paths)
    return f"## DESCRIPTION\n\n{backend.help}\n\n## PATHS\n\nHelp on a path: ask for it with `?help=1`.\n\n" + "\n\n".join(rows) + "\n"
