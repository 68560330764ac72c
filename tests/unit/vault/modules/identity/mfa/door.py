"""A host with an auth method that lets everybody in, and a TOTP method that asks for more."""

from dataclasses import dataclass
from typing import Any

import pyotp

from tests.unit.vault.modules.system.worker import Worker
from tests.unit.vault.modules.system.world import World
from vault.logical.args import STRING, arg
from vault.logical.backend import Backend, Endpoint, path
from vault.logical.context import Context
from vault.logical.login import Login, TokenParameters
from vault.logical.operation import Operation
from vault.logical.request import SecondFactor
from vault.logical.response import Response
from vault.logical.token import Token
from vault.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """Who comes."""

    name: str = arg(STRING, "Who comes.")


def recognise(name: str) -> Login:
    """Return who this is; nobody has no alias."""
    alias = "" if name == "nobody" else name.lower()
    return Login(alias=alias, display_name=name, metadata={"name": name}, role=name, parameters=TokenParameters(token_ttl=600))


def find_role(_context: Context, args: Name) -> str:
    """Return the role of whoever comes: one each."""
    return args.name


def enter(_context: Context, args: Name) -> Response:
    """Let in whoever comes."""
    return Response(login=recognise(args.name))


def renew(_context: Context, token: Token) -> Login:
    """Recognise once more."""
    return recognise(token.meta["name"])


_ROWS = (path("login/{name}", help="Enter.", update=Endpoint(handler=enter, args=Name, public=True, role=find_role)),)


class Clinic(World):
    """The host."""

    backends = {("auth", "door"): {"": Backend(kind="door", paths=_ROWS, renew=renew)}}  # noqa: RUF012 - a table of the test

    def __init__(self) -> None:
        super().__init__()
        self.write("sys/auth/main/door", type="door")
        self.method_id = self.make_method()
        self.entity_id = str(self.login("ann").auth.entity_id)  # type: ignore[union-attr]  # nothing is enforced yet

    def make_method(self, **fields: Any) -> str:
        """Make a method and return its id."""
        data = self.answer(Operation.UPDATE, "identity/mfa/method/totp", {"issuer": "Clinic", **fields}).data
        assert data is not None
        return str(data["method_id"])

    def enforce(self, name: str = "all", **targets: Any) -> None:
        """Ask for the method; of everybody who comes by the door unless told otherwise."""
        asked = targets or {"auth_method_types": ["door"]}
        self.write(f"identity/mfa/login-enforcement/{name}", **{"mfa_method_ids": [self.method_id], **asked})

    def enrol(self, method_id: str = "", entity_id: str = "") -> pyotp.TOTP:
        """Make a secret for an entity and return what its app does with it."""
        fields = {"method_id": method_id or self.method_id, "entity_id": entity_id or self.entity_id}
        data = self.answer(Operation.UPDATE, "identity/mfa/method/totp/admin-generate", fields).data
        assert data is not None
        app = pyotp.parse_uri(data["url"])
        assert isinstance(app, pyotp.TOTP)
        return app

    def code(self, app: pyotp.TOTP, periods: int = 0) -> str:
        """Return what the app shows now, or some periods later."""
        return app.at(int(self.clock.now()) + periods * app.interval)

    def login(self, name: str = "ann", *factors: tuple[str, str], worker: Worker | None = None, wrap: int | None = None) -> Response:
        """Log in."""
        given = tuple(SecondFactor(method=method, code=Secret(code)) for method, code in factors)
        response = self.send(
            Operation.UPDATE, f"auth/main/door/login/{name}", {}, token=None, second_factors=given, worker=worker, wrap=wrap
        )
        assert response is not None
        return response

    def begin(self, name: str = "ann", **more: Any) -> str:
        """Log in without a second factor and return the id that is to be finished."""
        auth = self.login(name, **more).auth
        assert auth is not None
        assert auth.mfa_requirement is not None
        assert not auth.client_token
        return str(auth.mfa_requirement["mfa_request_id"])

    def finish(self, request_id: str, *codes: str, worker: Worker | None = None) -> Response:
        """Bring the second factor."""
        fields = {"mfa_request_id": request_id, "mfa_payload": {self.method_id: list(codes)}}
        response = self.send(Operation.UPDATE, "sys/mfa/validate", fields, token=None, worker=worker)
        assert response is not None
        return response

    def rows_below(self, prefix: str) -> tuple[str, ...]:
        """Return names of rows."""
        return self.first.store.read().list_subtree(prefix)
