"""`sys/config/auditing/checkpoint-key` and `checkpoints`: what an auditor needs to check an audit log elsewhere."""

from base64 import b64encode
from typing import Any

from vault.audit.checkpointer import list_last
from vault.audit.signing import get_key
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response


def evidence_paths() -> tuple[Path, ...]:
    """Return the table."""
    return (
        path(
            "config/auditing/checkpoint-key",
            help="Tell the public key that checks the checkpoints of the audit logs.",
            read=Endpoint(handler=read_key, sudo=True),
        ),
        path(
            "config/auditing/checkpoints",
            help="Tell the last checkpoint of every audit log of the cluster.",
            read=Endpoint(handler=read_checkpoints, sudo=True),
        ),
    )


def read_key(context: SystemContext, _: Any) -> Response:
    """Tell the key."""
    public = get_key(context.transaction).public
    return Response(data={"key_id": public.id, "algorithm": "ed25519", "public_key": b64encode(public.raw).decode()})


def read_checkpoints(context: SystemContext, _: Any) -> Response:
    """Tell the last checkpoints, as they are signed: noted elsewhere, they find a log that was set back together with its checkpoints."""
    return Response(data={"checkpoints": [signed.line.decode() for signed in list_last(context.transaction)]})
