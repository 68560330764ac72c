"""A server with people in it, who sign in to clients."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import jwt

from tests.unit.vault.modules.system.worker import Worker
from tests.unit.vault.modules.system.world import World
from vault.config import combine
from vault.expiry import Fenced, Leadership
from vault.logical.backend import Backend
from vault.logical.login import Login
from vault.logical.operation import Operation
from vault.logical.request import BasicCredentials, Request
from vault.logical.response import Response
from vault.modules.identity.oidc.paths import oidc_paths
from vault.modules.identity.oidc.person import Alias, Person
from vault.modules.identity.oidc.upkeep import Upkeep
from vault.mounts import Registry
from vault.secret import Secret
from vault.storage.transaction import Transaction

ADDRESS = "https://vault.example.com:8200"
HOME = "https://app.example.com/callback"
SETTINGS = replace(combine(dev=True, flags={}, environment={}, files=()), api_addr=ADDRESS)
VERIFIER = "v" * 43
S256 = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
CHALLENGE = {"code_challenge": S256, "code_challenge_method": "S256"}
Client = Mapping[str, Any]
P = "identity/oidc/provider/main"


class Crowd:
    """The people of a test, by entity id."""

    def __init__(self) -> None:
        self.known: dict[str, Person] = {}

    def find_person(self, transaction: Transaction, entity_id: str) -> Person | None:
        """Return whom the test knows."""
        return self.known.get(entity_id)


class OidcWorld(World):
    """A server whose entities are those of the test."""

    def __init__(self) -> None:
        super().__init__()
        self.crowd = Crowd()
        self._join(self.first)
        leadership = Leadership(self.first.store, self.clock)
        assert leadership.acquire()
        self.upkeep = Upkeep(self.first.store, Fenced(self.first.store, leadership), self.first.mounts, self.clock)

    def _join(self, worker: Worker) -> None:
        identity = Backend(kind="identity", paths=oidc_paths(self.crowd, worker.tokens, SETTINGS), system=True)
        worker.mounts.registry = Registry({**worker.mounts.registry.backends, ("secret", "identity"): {"": identity}})

    def worker(self) -> Worker:
        """Start another worker of this host."""
        worker = super().worker()
        if hasattr(self, "crowd"):
            self._join(worker)
        return worker

    def enter(self, name: str, **details: Any) -> tuple[str, str]:
        """Let somebody come; return token and entity id."""
        mount = self.first.mounts.require(self.first.store.read(), "auth/token/")
        standing = self.first.store.run(
            lambda transaction: self.first.identity.recognise(transaction, mount, Login(alias=name, display_name=name))
        )
        aliases = {"acc": Alias(id="a1", name=name, metadata={"ou": "icu"})}
        self.crowd.known[standing.entity_id] = Person(id=standing.entity_id, name=name, aliases=aliases, **details)
        self.write(
            "sys/policies/acl/identity", policy='path "identity/*" { capabilities = ["create", "read", "update", "delete", "list"] }'
        )
        return self.issue("identity", entity_id=standing.entity_id), standing.entity_id

    def change(self, entity_id: str, **details: Any) -> None:
        """Change somebody."""
        self.crowd.known[entity_id] = replace(self.crowd.known[entity_id], **details)

    # -- a client ------------------------------------------------------------------------------------------------------

    def register(self, name: str = "app", **fields: Any) -> Mapping[str, Any]:
        """Register a client with the provider `main`; return what an administrator reads of it."""
        self.write("identity/oidc/scope/groups", template='{"groups": {{identity.entity.groups.names}}}')
        self.write(P, allowed_client_ids="*", scopes_supported="groups")
        asked = {"redirect_uris": [HOME], "assignments": "allow_all", "key": "quick", **fields}
        self.write("identity/oidc/key/quick", algorithm="ES256", allowed_client_ids="*")
        self.write(f"identity/oidc/client/{name}", **asked)
        data: Mapping[str, Any] = self.read(f"identity/oidc/client/{name}")
        return data

    def ask(self, client: Mapping[str, Any], token: str, **fields: Any) -> Response:
        """Send an authentication request; None takes a field out."""
        usual = {"client_id": client["client_id"], "redirect_uri": HOME, "scope": "openid groups", "response_type": "code", "state": "st"}
        sent = {name: value for name, value in {**usual, **fields}.items() if value is not None}
        return self.answer(Operation.UPDATE, f"{P}/authorize", sent, token=token)

    def code(self, client: Mapping[str, Any], token: str, **fields: Any) -> str:
        """Return a code for a client."""
        response = self.ask(client, token, **fields)
        assert response.data is not None
        assert response.status is None, response.data
        return str(response.data["code"])

    def exchange(
        self, client: Mapping[str, Any], shown: str, /, *, worker: Worker | None = None, basic: bool = True, **fields: Any
    ) -> Response:
        """Send a token request; None takes a field out."""
        usual: dict[str, Any] = {"grant_type": "authorization_code", "code": shown, "redirect_uri": HOME}
        credentials = None
        if "client_secret" not in client:
            usual["client_id"] = client["client_id"]
        elif basic:
            credentials = BasicCredentials(name=client["client_id"], secret=Secret(client["client_secret"]))
        else:
            usual |= {"client_id": client["client_id"], "client_secret": client["client_secret"]}
        sent = {name: value for name, value in {**usual, **fields}.items() if value is not None}
        return self.oauth(f"{P}/token", sent, basic=credentials, worker=worker)

    def oauth(
        self,
        path: str,
        fields: Mapping[str, Any],
        *,
        operation: Operation = Operation.UPDATE,
        basic: BasicCredentials | None = None,
        bearer: str = "",
        worker: Worker | None = None,
    ) -> Response:
        """Send a request as an OAuth client does."""
        request = Request(
            id=urlencode({"n": self._requests}),
            operation=operation,
            path=path,
            data=fields,
            token=Secret(bearer) if bearer else None,
            is_bearer=bool(bearer),
            basic=basic,
        )
        response = (worker or self.first).core.handle(request)
        assert response is not None
        return response

    def userinfo(self, access_token: str, provider: str = P) -> Response:
        """Ask whom an access token was made for."""
        return self.oauth(f"{provider}/userinfo", {}, operation=Operation.READ, bearer=access_token)

    def verify(self, token: str, keys_path: str, audience: str) -> dict[str, Any]:
        """Return the claims of a token that one of the published keys has signed."""
        response = self.answer(Operation.READ, keys_path, {}, token=None)
        assert response.data is not None
        published = jwt.PyJWKSet.from_dict({"keys": [dict(key) for key in response.data["keys"]]})
        key = published[jwt.get_unverified_header(token)["kid"]]
        options: Any = {"verify_exp": False, "verify_iat": False}
        return jwt.decode(token, key.key, algorithms=[key.algorithm_name], audience=audience, options=options)


def refusal(response: Response) -> tuple[int | None, str]:
    """Return status and code of a refusal."""
    assert response.data is not None
    return response.status, str(response.data["error"])


def tokens(response: Response) -> Mapping[str, Any]:
    """Return the tokens that a client got."""
    assert response.status is None, response.data
    assert response.data is not None
    return response.data
