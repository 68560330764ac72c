"""The two questions that are asked of a Kubernetes API: whose token is this, and what is written on that namespace.

Whatever goes wrong is one refusal, with its reason in the log: a caller learns nothing about the cluster.
"""

import re
from typing import TypeVar

import msgspec
import structlog

from vault import limits
from vault.errors import PermissionDenied
from vault.modules.auth.methods.kubernetes.claims import Account
from vault.modules.auth.methods.kubernetes.config import Config, Pod, make_base
from vault.modules.auth.outbound import Question, Unreachable, ask

T = TypeVar("T")

_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)  # RFC 1123: it becomes part of a URL

_log = structlog.get_logger(__name__)


class User(msgspec.Struct, frozen=True):
    """Who the API says a token belongs to."""

    username: str = ""
    uid: str = ""


class Status(msgspec.Struct, frozen=True):
    """The outcome of a review."""

    authenticated: bool = False
    error: str = ""
    audiences: tuple[str, ...] = ()
    user: User = User()


class Review(msgspec.Struct, frozen=True):
    """A token review."""

    status: Status
    kind: str = ""


class Metadata(msgspec.Struct, frozen=True):
    """What is written on a namespace."""

    name: str = ""
    labels: dict[str, str] = {}


class Namespace(msgspec.Struct, frozen=True):
    """A namespace."""

    metadata: Metadata
    kind: str = ""


class Api:
    """The API of one configuration."""

    def __init__(self, config: Config, pod: Pod) -> None:
        self._config = config
        self._pod = pod

    def review(self, token: str, account: Account, audience: str) -> None:
        """Have a token reviewed; raises PermissionDenied where the API does not know it as that account's, for that audience."""
        wanted = (audience,) if audience else account.audiences
        spec = {"token": token, "audiences": wanted}
        body = msgspec.json.encode({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec})
        bearer = self._pod.find_reviewer(self._config) or token
        status = self._ask(Review, _REVIEWS, bearer, body).status
        if not status.authenticated or status.error:
            raise _refuse(f"the token is not valid: {status.error[:200]}")
        if wanted and set(wanted).isdisjoint(status.audiences):
            raise _refuse("the token is not for this audience, or the API does not look at audiences")
        if status.user.username != f"system:serviceaccount:{account.namespace}:{account.name}":
            raise _refuse("the API knows the token as somebody else's")
        if not account.uid or status.user.uid != account.uid:
            raise _refuse("the service account was made anew")

    def get_labels(self, namespace: str) -> dict[str, str]:
        """Return the labels of a namespace; raises PermissionDenied."""
        bearer = self._pod.find_reviewer(self._config)
        if not bearer or _NAMESPACE.fullmatch(namespace) is None:
            raise _refuse("no token to read namespaces with, or no name of one")
        found = self._ask(Namespace, f"/api/v1/namespaces/{namespace}", bearer, None).metadata
        if found.name != namespace:
            raise _refuse("the API answered with another namespace")
        return found.labels

    def _ask(self, kind: type[T], path: str, bearer: str, body: bytes | None) -> T:
        try:
            question = Question(
                url=make_base(self._config.host) + path,
                method="GET" if body is None else "POST",
                body=body,
                headers={"Authorization": f"Bearer {bearer}", "Accept": "application/json", "Content-Type": "application/json"},
                trust=self._pod.make_trust(self._config),
                seconds_max=limits.KUBERNETES_SECONDS_MAX,
                bytes_max=limits.KUBERNETES_BYTES_MAX,
            )
            reply = ask(question)
            if reply.status not in (200, 201):
                raise _refuse(f"the API answered {reply.status}")
            return msgspec.json.decode(reply.body, type=kind)
        except Unreachable as error:
            raise _refuse(error.detail) from None
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise _refuse(str(error)) from None


def _refuse(reason: str) -> PermissionDenied:
    _log.info("kubernetes login refused", reason=reason)
    return PermissionDenied()
