"""A real OpenID provider on loopback: Authlib's authorization server behind Flask. PKCE and the nonce are required, codes work once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlencode

import flask
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import OpenIDCode
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import WSGIRequestHandler, make_server

CLIENT_ID = "health-vault"
CLIENT_SECRET = "client-secret-of-the-test"


class _Client(ClientMixin):
    """The one client."""

    def get_client_id(self) -> str:
        return CLIENT_ID

    def get_allowed_scope(self, scope: Any) -> Any:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return "/oidc/callback" in redirect_uri

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == CLIENT_SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


@dataclass(kw_only=True)
class _Code(AuthorizationCodeMixin):
    """A code that was handed out."""

    code: str
    redirect_uri: str
    scope: str
    nonce: str
    code_challenge: str
    code_challenge_method: str
    auth_time: int

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> int:
        return self.auth_time

    def get_acr(self) -> None:
        """Return nothing."""

    def get_amr(self) -> None:
        """Return nothing."""


@cache
def _make_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})


@dataclass(kw_only=True)
class OpenIdProvider:
    """The provider's state, which tests change and look at."""

    url: str = ""
    user: dict[str, Any] = field(default_factory=lambda: {"sub": "alice"})
    more: dict[str, Any] = field(default_factory=dict)  # told at the userinfo endpoint only
    auth_age_seconds: int = 0
    id_token_changes: dict[str, Any] = field(default_factory=dict)
    key: RSAKey = field(default_factory=_make_key)
    codes: dict[str, _Code] = field(default_factory=dict)
    exchanges: int = 0  # how often somebody came with a code
    lock: threading.Lock = field(default_factory=threading.Lock)

    def app(self) -> flask.Flask:
        """Return the web application."""
        app = flask.Flask("provider")
        app.config["OAUTH2_TOKEN_EXPIRES_IN"] = {"authorization_code": 600}
        server = AuthorizationServer(app, query_client=lambda name: _Client() if name == CLIENT_ID else None, save_token=lambda *_: None)
        server.register_grant(*_make_grant(self))
        app.add_url_rule("/.well-known/openid-configuration", view_func=self.discovery)
        app.add_url_rule("/jwks", endpoint="jwks", view_func=lambda: KeySet([self.key]).as_dict(private=False))
        app.add_url_rule("/authorize", endpoint="authorize", view_func=lambda: self.authorize(server))
        app.add_url_rule("/token", endpoint="token", view_func=lambda: self.exchange(server), methods=["POST"])
        app.add_url_rule("/userinfo", endpoint="userinfo", view_func=lambda: {"sub": self.user["sub"], **self.more})
        return app

    def discovery(self) -> dict[str, Any]:
        """Return the discovery document."""
        ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "jwks", "userinfo_endpoint": "userinfo"}
        return {
            "issuer": self.url,
            **{name: f"{self.url}/{path}" for name, path in ends.items()},
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def authorize(self, server: AuthorizationServer) -> Any:
        """Log the user in, whoever asks."""
        find_grant: Any = server.get_consent_grant
        grant = find_grant(end_user=self.user)
        return server.create_authorization_response(grant_user=self.user, grant=grant)

    def exchange(self, server: AuthorizationServer) -> Any:
        """Answer at the token endpoint."""
        with self.lock:
            self.exchanges += 1
        return server.create_token_response()


def _make_grant(provider: OpenIdProvider) -> tuple[Any, list[Any]]:
    class Grant(grants.AuthorizationCodeGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

        def save_authorization_code(self, code: str, request: Any) -> None:
            data = request.payload.data
            provider.codes[code] = _Code(
                code=code,
                redirect_uri=data["redirect_uri"],
                scope=data["scope"],
                nonce=data["nonce"],
                code_challenge=data["code_challenge"],
                code_challenge_method=data["code_challenge_method"],
                auth_time=int(time.time()) - provider.auth_age_seconds,
            )

        def query_authorization_code(self, code: str, client: Any) -> _Code | None:
            return provider.codes.get(code)

        def delete_authorization_code(self, authorization_code: _Code) -> None:
            provider.codes.pop(authorization_code.code, None)

        def authenticate_user(self, authorization_code: _Code) -> Any:
            return provider.user

    class Tokens(OpenIDCode):
        def exists_nonce(self, nonce: str, request: Any) -> bool:
            return False

        def resolve_client_private_key(self, client: Any) -> Any:
            return provider.key

        def get_client_claims(self, client: Any) -> dict[str, Any]:
            now = int(time.time())
            return {"iss": provider.url, "aud": [CLIENT_ID], "iat": now, "exp": now + 600}

        def get_encode_header(self, client: Any) -> dict[str, Any]:
            return {"alg": "RS256", "kid": "one"}

        def generate_user_info(self, user: Any, scope: str) -> Any:
            return {**provider.user, **provider.id_token_changes}

    return Grant, [Tokens(require_nonce=True), CodeChallenge(required=True)]


class _Quiet(WSGIRequestHandler):
    def make_environ(self) -> dict[str, Any]:
        """Say that this is TLS: Authlib would not work without, and on loopback it would only slow the tests."""
        return {**super().make_environ(), "wsgi.url_scheme": "https"}

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the name that is overridden
        """Write nothing."""


@contextmanager
def openid_provider() -> Iterator[OpenIdProvider]:
    """Run a provider on a free port of loopback."""
    provider = OpenIdProvider()
    server = make_server("127.0.0.1", 0, provider.app(), threaded=True, request_handler=_Quiet)
    provider.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def refusal_query(state: str, text: str) -> str:
    """Return what a browser brings back of a refusal."""
    return urlencode({"state": state, "error": "access_denied", "error_description": text})
