"""How OAuth says no: a code, a sentence and a status, in place of Vault's list of errors.

A refusal is an answer and not an error of the pipeline, because what was done before it must stay done: a code that was shown with a
wrong verifier is used up.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

from vault.logical.context import SystemContext
from vault.logical.response import Response

A = TypeVar("A")
Handle = Callable[[SystemContext, A], Response]

INVALID_REQUEST, INVALID_CLIENT, INVALID_GRANT, INVALID_TOKEN = "invalid_request", "invalid_client", "invalid_grant", "invalid_token"
UNSUPPORTED_GRANT_TYPE, UNSUPPORTED_RESPONSE_TYPE = "unsupported_grant_type", "unsupported_response_type"
ACCESS_DENIED, UNAUTHORIZED_CLIENT = "access_denied", "unauthorized_client"
# These four have no standard; clients of Vault know them.
INVALID_CLIENT_ID, INVALID_REDIRECT_URI, MAX_AGE_VIOLATION = "invalid_client_id", "invalid_redirect_uri", "max_age_violation"
REQUEST_NOT_SUPPORTED, REQUEST_URI_NOT_SUPPORTED = "request_not_supported", "request_uri_not_supported"

NO_CACHE: Mapping[str, str] = {"Pragma": "no-cache"}
_UNAUTHENTICATED = 401
_FORBIDDEN = 403
_BAD = 400


class Refused(Exception):
    """A request that OAuth has a code for."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description

    @property
    def body(self) -> dict[str, Any]:
        """Return what the client is told."""
        return {"error": self.error, "error_description": self.description}


def answering(handle: Handle[A], describe: Callable[[Refused, A], Response]) -> Handle[A]:
    """Return the handler that answers refusals, too."""

    @wraps(handle)
    def answer(context: SystemContext, args: A) -> Response:
        try:
            return handle(context, args)
        except Refused as refused:
            return describe(refused, args)

    return answer


def refuse_authorization(refused: Refused, args: Any) -> Response:
    """Answer why there is no code."""
    return Response(data={**refused.body, "state": args.state}, status=_BAD)


def refuse_token(refused: Refused, _: Any) -> Response:
    """Answer why there is no token."""
    if refused.error == INVALID_CLIENT:
        return Response(data=refused.body, status=_UNAUTHENTICATED, headers={**NO_CACHE, "WWW-Authenticate": "Basic"})
    return Response(data=refused.body, status=_BAD, headers=NO_CACHE)


def refuse_claims(refused: Refused, _: Any) -> Response:
    """Answer why nothing is told about somebody."""
    if refused.error == ACCESS_DENIED:
        return Response(data=refused.body, status=_FORBIDDEN)
    challenge = f'Bearer error="{refused.error}",error_description="{refused.description}"'
    status = _UNAUTHENTICATED if refused.error == INVALID_TOKEN else _BAD
    return Response(data=refused.body, status=status, headers={"WWW-Authenticate": challenge})
