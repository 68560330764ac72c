"""A small Kubernetes API: it knows service accounts, signs their tokens and reviews them as the real one does, over TLS.

A review needs a token that may review; a token is good while its account is there with the same uid, in its time, for an audience that
was asked for. Everything else is refused. A test may put other answers in its place.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.certificates import Authority

AUDIENCE = "https://kubernetes.default.svc"
ISSUER = "https://kubernetes.default.svc.cluster.local"
REVIEWER = ("vault", "reviewer")
Account = tuple[str, str]  # namespace and name


@dataclass(slots=True)
class Cluster:
    """Accounts, namespaces and the key that signs tokens."""

    url: str = ""
    ca_cert: str = ""
    accounts: dict[Account, str] = field(default_factory=lambda: {REVIEWER: "uid-reviewer", ("apps", "web"): "uid-web"})
    labels: dict[str, dict[str, str]] = field(default_factory=lambda: {"vault": {}, "apps": {"stage": "prod"}, "lab": {"stage": "test"}})
    reviewers: set[Account] = field(default_factory=lambda: {REVIEWER})
    key: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    seen: list[str] = field(default_factory=list)  # method and path of requests
    instead: Callable[[BaseHTTPRequestHandler], object] | None = None  # answers everything, badly
    before_review: Callable[[], object] = lambda: None

    @property
    def public_key(self) -> str:
        """Return the key that verifies tokens, PEM."""
        pem: bytes = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem.decode()

    def token(
        self, namespace: str = "apps", name: str = "web", *, nested: Any = None, key: Any = None, now: float | None = None, **claims: Any
    ) -> str:
        """Return a token as a pod has it; `nested` takes the place of what it says of the account."""
        moment = int(time.time() if now is None else now)
        account = {"name": name, "uid": self.accounts.get((namespace, name), "uid-unknown")}
        said: dict[str, Any] = {
            "iss": ISSUER,
            "sub": f"system:serviceaccount:{namespace}:{name}",
            "aud": [AUDIENCE],
            "iat": moment,
            "nbf": moment,
            "exp": moment + 3600,
            "kubernetes.io": nested or {"namespace": namespace, "serviceaccount": account, "pod": {"name": "pod", "uid": "uid-pod"}},
        }
        return jwt.encode(said | claims, key or self.key, algorithm="ES256")

    def legacy_token(self, namespace: str = "apps", name: str = "web") -> str:
        """Return a token as secrets have it: flat names, no end, no audience."""
        flat = "kubernetes.io/serviceaccount/"
        said = {
            "iss": "kubernetes/serviceaccount",
            flat + "namespace": namespace,
            flat + "service-account.name": name,
            flat + "service-account.uid": self.accounts.get((namespace, name), "uid-unknown"),
            flat + "secret.name": "web-token",
            "sub": f"system:serviceaccount:{namespace}:{name}",
        }
        return jwt.encode(said, self.key, algorithm="ES256")

    def find(self, token: str) -> tuple[Account, tuple[str, ...]] | None:
        """Return whose token it is and for which audiences, None if it is not good."""
        try:
            claims = jwt.decode(token, self.public_key, algorithms=["ES256"], options={"verify_aud": False})
        except jwt.PyJWTError:
            return None
        _, _, namespace, name = claims["sub"].split(":")
        flat = claims.get("kubernetes.io/serviceaccount/service-account.uid")
        uid = flat or claims["kubernetes.io"]["serviceaccount"]["uid"]
        if self.accounts.get((namespace, name)) != uid:
            return None
        return (namespace, name), tuple(claims.get("aud", [AUDIENCE]))

    def review(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Return the status of a review."""
        self.before_review()
        found = self.find(spec.get("token", ""))
        wanted = spec.get("audiences") or [AUDIENCE]
        shared = [one for one in wanted if found and one in found[1]]
        if found is None or not shared:
            return {"authenticated": False, "error": "[invalid bearer token, token audiences are invalid for the target]"}
        (namespace, name), _ = found
        user = {"username": f"system:serviceaccount:{namespace}:{name}", "uid": self.accounts[namespace, name], "groups": ["all"]}
        return {"authenticated": True, "user": user, "audiences": shared}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cluster: Cluster

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _may(self) -> bool:
        self.cluster.seen.append(f"{self.command} {self.path}")
        if self.cluster.instead is not None:
            self.close_connection = True
            self.cluster.instead(self)
            return False
        found = self.cluster.find(self.headers.get("Authorization", "").removeprefix("Bearer "))
        if found is None or found[0] not in self.cluster.reviewers:
            status = 401 if found is None else 403
            self._answer(status, {"kind": "Status", "status": "Failure", "code": status})
        return found is not None and found[0] in self.cluster.reviewers

    def do_POST(self) -> None:
        """Review a token."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._may():
            assert (self.path, body.get("kind", "TokenReview")) == ("/apis/authentication.k8s.io/v1/tokenreviews", "TokenReview")
            self._answer(201, body | {"status": self.cluster.review(body["spec"])})

    def do_GET(self) -> None:
        """Tell of a namespace."""
        if self._may():
            name = self.path.removeprefix("/api/v1/namespaces/")
            if name not in self.cluster.labels:
                self._answer(404, {"kind": "Status", "status": "Failure", "code": 404})
                return
            self._answer(200, {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name, "labels": self.cluster.labels[name]}})


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Run the API with an authority of its own."""
    authority = Authority(folder, "kubernetes")
    pair = authority.issue("api")
    cluster = Cluster(ca_cert=Path(authority.file).read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert_file, pair.key_file)
    handler = type("Handler", (_Handler,), {"cluster": cluster})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients may end a connection as they like
    server.socket = context.wrap_socket(server.socket, server_side=True)
    cluster.url = f"https://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield cluster
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
