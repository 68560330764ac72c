"""The `userpass` auth method: names and passwords.

A name that nobody has, a disabled one and a locked one get the answer of a wrong password, and a password is checked against nothing
for as long as against a hash.
"""

from dataclasses import dataclass, replace
from typing import Any, NoReturn, Protocol

from vault.crypto.passwords import encode_password, parse_imported_hash
from vault.errors import InvalidRequest, LoginFailed, NotFound
from vault.logical.args import BOOL, LIST, SECRET, STRING, arg
from vault.logical.backend import Backend, Endpoint, Path, path
from vault.logical.context import Context
from vault.logical.login import Login
from vault.logical.page import Page
from vault.logical.response import Response, list_response
from vault.logical.token import Token
from vault.modules.auth.methods.userpass.name import parse_name, spell_name
from vault.modules.auth.methods.userpass.user import (
    SESSIONS,
    USERS,
    User,
    delete_user,
    describe_user,
    find_cost_of_checks,
    find_user,
    find_user_by_guess,
    put_user,
)
from vault.modules.auth.parameters import LegacyTokenParameterArgs, change_parameters
from vault.modules.auth.renewal import require_same_policies
from vault.secret import Secret

WRONG = "invalid username or password"
_NO_PASSWORD = "must provide either password or password_hash"  # noqa: S105 - a refusal
_TEXT_MAX = 512  # of what is only shown


class Hasher(Protocol):
    """What hashes passwords."""

    def hash(self, password: Secret) -> str:
        """Return a new hash."""

    def check(self, password: Secret, stored: str | None, cost: int) -> bool:
        """Return whether a hash is of a password; for None the same work is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserName:
    """The user that the path names."""

    username: str = arg(STRING, "Name of the user, in whatever case.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordArgs(UserName):
    """A password, or a hash of it."""

    password: Secret | None = arg(SECRET, "The password.", default=None)
    password_hash: Secret | None = arg(SECRET, "A bcrypt hash of the password, in place of it.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteUser(LegacyTokenParameterArgs):
    """A user; absent fields keep their value, and so does an empty password."""

    username: str = arg(STRING, "Name of the user, in whatever case.")
    password: Secret | None = arg(SECRET, "The password.", default=None)
    password_hash: Secret | None = arg(SECRET, "A bcrypt hash of the password, in place of it.", default=None)

    display_name: str | None = arg(STRING, "Name for people.", default=None)
    email: str | None = arg(STRING, "Address of the user.", default=None)
    is_active: bool | None = arg(BOOL, "Whether the user may log in.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoliciesArgs(UserName):
    """Policies of a user."""

    token_policies: tuple[str, ...] | None = arg(LIST, "Policies of the user's tokens.", default=None)
    policies: tuple[str, ...] | None = arg(LIST, "Older name of token_policies.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginArgs(UserName):
    """A name and a password."""

    password: Secret = arg(SECRET, "The password.", required="missing password")


class Userpass:
    """Handlers."""

    def __init__(self, hasher: Hasher) -> None:
        self._hasher = hasher

    # -- users --------------------------------------------------------------------------------------------------------

    def exists(self, context: Context, args: UserName) -> bool:
        """Tell create from update."""
        return find_user(context.storage, spell_name(args.username)) is not None

    def hash_password(self, _context: Context, args: PasswordArgs | WriteUser) -> str:
        """Return the hash of a password that is to be set; nothing where none is. Before the transaction."""
        parse_name(args.username)
        if args.password and args.password_hash:
            raise InvalidRequest("only one of password or password_hash may be provided")
        if args.password_hash:
            return parse_imported_hash(args.password_hash.reveal())
        return self._hasher.hash(args.password) if args.password else ""

    def write_user(self, context: Context, args: WriteUser) -> None:
        """Create or change a user."""
        name = parse_name(args.username)
        before = find_user(context.storage, name)
        if before is None and not context.prepared:
            raise InvalidRequest(_NO_PASSWORD)
        user = before or User(name=name, password="")
        given = {key: value for key in ("display_name", "email", "is_active") if (value := getattr(args, key)) is not None}
        if any(len(value) > _TEXT_MAX for value in given.values() if isinstance(value, str)):
            raise InvalidRequest(f"display_name and email may have {_TEXT_MAX} characters")
        parameters = change_parameters(user.parameters, args)
        put_user(context.storage, replace(user, parameters=parameters, password=context.prepared or user.password, **given), before)

    def write_password(self, context: Context, args: PasswordArgs) -> None:
        """Change the password of a user, which ends all sessions."""
        if not context.prepared:
            raise InvalidRequest(_NO_PASSWORD)
        user = _require_user(context, args)
        put_user(context.storage, replace(user, password=context.prepared), user)

    def write_policies(self, context: Context, args: PoliciesArgs) -> None:
        """Change the policies of a user."""
        user = _require_user(context, args)
        given = LegacyTokenParameterArgs(token_policies=args.token_policies, policies=args.policies)
        put_user(context.storage, replace(user, parameters=change_parameters(user.parameters, given)), user)

    def read_user(self, context: Context, args: UserName) -> Response:
        """Answer a user, never the hash."""
        user = find_user(context.storage, spell_name(args.username))
        if user is None:
            raise NotFound
        return Response(data=describe_user(user))

    def delete_user(self, context: Context, args: UserName) -> None:
        """Delete a user, which ends all sessions; a missing one is no error."""
        delete_user(context.storage, parse_name(args.username))

    def list_users(self, context: Context, args: Page) -> Response | None:
        """List user names."""
        return list_response(context.storage.list_children(USERS, args.after, args.size))

    # -- logins -------------------------------------------------------------------------------------------------------

    def guess(self, _context: Context, args: LoginArgs) -> str:
        """Return whose password is tried; raises InvalidRequest where it can be nobody's."""
        if not args.password:
            raise InvalidRequest("missing password")
        encode_password(args.password.reveal())
        return spell_name(args.username)

    def check(self, context: Context, args: LoginArgs) -> str:
        """Return the hash that the password matched; raises LoginFailed. Before the transaction."""
        user = find_user_by_guess(context.storage, spell_name(args.username))
        stored = user.password if user is not None and user.is_active else None
        if not self._hasher.check(args.password, stored, find_cost_of_checks(context.storage)) or stored is None:
            raise LoginFailed(WRONG)
        return stored

    def pretend(self, context: Context, args: LoginArgs) -> NoReturn:
        """Take as long as a check, with nobody's hash, and refuse."""
        find_user_by_guess(context.storage, spell_name(args.username))
        self._hasher.check(args.password, None, find_cost_of_checks(context.storage))
        raise LoginFailed(WRONG)

    def login(self, context: Context, args: LoginArgs) -> Response:
        """Recognise a user whose password was right, unless it was changed meanwhile."""
        user = find_user(context.storage, spell_name(args.username))
        if user is None or not user.is_active or user.password != context.prepared:
            raise LoginFailed(WRONG)
        context.storage.guard(USERS + user.name)
        return Response(login=_recognise(user))

    def renew(self, context: Context, token: Token) -> Login:
        """Recognise the user of a token once more."""
        user = find_user(context.storage, token.meta.get("username", ""))
        if user is None or not user.is_active:
            raise InvalidRequest("user does not exist or is not active, not renewing")
        login = _recognise(user)
        require_same_policies(login, token)
        return login


def _recognise(user: User) -> Login:
    return Login(
        alias=user.name,
        display_name=user.name,
        metadata={"username": user.name},
        parameters=user.parameters,
        session=SESSIONS + user.name,
    )


def _require_user(context: Context, args: UserName) -> User:
    user = find_user(context.storage, parse_name(args.username))
    if user is None:
        raise InvalidRequest("username does not exist")
    return user


def build(hasher: Hasher) -> Backend:
    """Return the backend."""
    users = Userpass(hasher)
    return Backend(
        kind="userpass",
        paths=(*_user_paths(users), *_login_paths(users)),
        renew=users.renew,
        help="The userpass auth method lets users log in by a name and a password.",
    )


def _user_paths(users: Userpass) -> tuple[Path, ...]:
    return (
        path(
            "users",
            help="List the users.",
            list=Endpoint(handler=users.list_users, args=Page),
        ),
        path(
            "users/{username}",
            help="Create, read, change and delete a user.",
            exists=users.exists,
            exists_args=UserName,
            read=Endpoint(handler=users.read_user, args=UserName),
            update=Endpoint(handler=users.write_user, args=WriteUser, prepare=users.hash_password),
            delete=Endpoint(handler=users.delete_user, args=UserName),
        ),
        path(
            "users/{username}/password",
            help="Change the password of a user.",
            update=Endpoint(handler=users.write_password, args=PasswordArgs, prepare=users.hash_password),
        ),
        path(
            "users/{username}/policies",
            help="Change the policies of a user.",
            update=Endpoint(handler=users.write_policies, args=PoliciesArgs),
        ),
    )


def _login_paths(users: Userpass) -> tuple[Path, ...]:
    login: dict[str, Any] = {"prepare": users.check, "guess": users.guess, "decoy": users.pretend}
    return (
        path(
            "login/{username}",
            help="Log in with a name and a password.",
            update=Endpoint(handler=users.login, args=LoginArgs, public=True, **login),
        ),
    )
