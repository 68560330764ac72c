"""Roles: their fields, the paths of single fields. One table of properties makes all of those paths."""

from dataclasses import dataclass, make_dataclass, replace
from functools import partial
from typing import Any

from vault import limits
from vault.errors import InvalidRequest, NotFound, UnsupportedPath
from vault.logical.args import BOOL, COUNT, LIST, STRING, TTL, Kind, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import Context
from vault.logical.login import TokenParameters
from vault.logical.page import Page
from vault.logical.response import Response, list_response
from vault.modules.auth.cidr import parse_cidrs
from vault.modules.auth.methods.approle.rows import ROLES, Role, Rows, make_uuid
from vault.modules.auth.parameters import TokenParameterArgs, change_parameters, describe_parameters, note_older
from vault.modules.auth.role_name import ROLE_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleName:
    """The role that the path names."""

    role_name: str = arg(ROLE_NAME, "Name of the role, in whatever case.")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRole(TokenParameterArgs):
    """The fields of a role; absent ones keep their value."""

    role_name: str = arg(ROLE_NAME, "Name of the role, in whatever case.")
    role_id: str | None = arg(STRING, "What logins name the role by; chosen where none is given.", default=None)
    bind_secret_id: bool | None = arg(BOOL, "Whether a login needs a secret id.", default=None)
    secret_id_bound_cidrs: tuple[str, ...] | None = arg(LIST, "Addresses from which logins are accepted.", default=None)
    bound_cidr_list: tuple[str, ...] | None = arg(LIST, "Older name of secret_id_bound_cidrs.", default=None)
    secret_id_num_uses: int | None = arg(COUNT, "How many logins a secret id is good for; 0: unlimited.", default=None)
    secret_id_ttl: int | None = arg(TTL, "Life time of secret ids; 0: without end.", default=None)
    local_secret_ids: bool | None = arg(BOOL, "Of no effect; can be set only when the role is made.", default=None)
    policies: tuple[str, ...] | None = arg(LIST, "Older name of token_policies.", default=None)
    period: int | None = arg(TTL, "Older name of token_period.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleIdArgs(RoleName):
    """A role id."""

    role_id: str = arg(STRING, "The role id.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Property:
    """A field of a role with a path of its own."""

    segment: str
    field: str  # as the role shows it
    kind: Kind[Any]
    reset: Any  # what a deletion makes of it
    older: str = ""  # another name that a write may use
    shown: str = ""  # another name that a read uses
    warning: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names by which a write may set it."""
        return (self.field, self.older) if self.older else (self.field,)

    @property
    def schema(self) -> type:
        """Return the arguments of a write."""
        columns = [(name, Any, arg(self.kind, f"The {name.replace('_', ' ')}.", default=None)) for name in self.names]
        return make_dataclass(f"Write_{self.field}", columns, bases=(RoleName,), frozen=True, slots=True, kw_only=True)


_DEPRECATED = 'The "bound_cidr_list" field is deprecated and will be removed. Please use "secret_id_bound_cidrs" instead.'
_LOCAL = _Property(segment="local-secret-ids", field="local_secret_ids", kind=BOOL, reset=False)  # can only be read
PROPERTIES = (
    _Property(segment="policies", field="token_policies", kind=LIST, reset=(), older="policies"),
    _Property(segment="bind-secret-id", field="bind_secret_id", kind=BOOL, reset=True),
    _Property(segment="secret-id-bound-cidrs", field="secret_id_bound_cidrs", kind=LIST, reset=None),
    _Property(
        segment="bound-cidr-list",
        field="secret_id_bound_cidrs",
        kind=LIST,
        reset=None,
        older="bound_cidr_list",
        shown="bound_cidr_list",
        warning=_DEPRECATED,
    ),
    _Property(segment="secret-id-num-uses", field="secret_id_num_uses", kind=COUNT, reset=0),
    _Property(segment="secret-id-ttl", field="secret_id_ttl", kind=TTL, reset=0),
    _Property(segment="token-bound-cidrs", field="token_bound_cidrs", kind=LIST, reset=()),
    _Property(segment="token-ttl", field="token_ttl", kind=TTL, reset=0),
    _Property(segment="token-max-ttl", field="token_max_ttl", kind=TTL, reset=0),
    _Property(segment="token-num-uses", field="token_num_uses", kind=COUNT, reset=0),
    _Property(segment="period", field="token_period", kind=TTL, reset=0, older="period"),
)


def role_paths() -> tuple[Path, ...]:
    """Return the table."""
    return (
        path("role", help="List roles.", list=Endpoint(handler=list_roles, args=Page)),
        path(
            "role/{role_name}",
            help="Read, write and delete a role.",
            exists=role_exists,
            exists_args=RoleName,
            read=Endpoint(handler=read_role, args=RoleName),
            update=Endpoint(handler=write_role, args=WriteRole),
            delete=Endpoint(handler=delete_role, args=RoleName),
        ),
        path(
            "role/{role_name}/role-id",
            help="Read and set the role id.",
            read=Endpoint(handler=read_role_id, args=RoleName),
            update=Endpoint(handler=write_role_id, args=RoleIdArgs),
        ),
        path(
            "role/{role_name}/local-secret-ids",
            help="Read whether secret ids are local.",
            read=Endpoint(handler=partial(_read_property, _LOCAL), args=RoleName),
        ),
        *(
            path(
                f"role/{{role_name}}/{one.segment}",
                help=f"Read, set and reset {one.field} of a role.",
                read=Endpoint(handler=partial(_read_property, one), args=RoleName),
                update=Endpoint(handler=partial(_write_property, one), args=one.schema),
                delete=Endpoint(handler=partial(_reset_property, one), args=RoleName),
            )
            for one in PROPERTIES
        ),
    )


def role_exists(context: Context, args: RoleName) -> bool:
    """Tell create from update."""
    return Rows(context.storage).find_role(args.role_name) is not None


def describe_role(role: Role) -> dict[str, Any]:
    """Return a role in the wire's names."""
    return {
        "bind_secret_id": role.bind_secret_id,
        "secret_id_bound_cidrs": None if role.secret_id_bound_cidrs is None else list(role.secret_id_bound_cidrs),
        "secret_id_num_uses": role.secret_id_num_uses,
        "secret_id_ttl": role.secret_id_ttl,
        "local_secret_ids": role.local_secret_ids,
        **describe_parameters(role.parameters, older=role.legacy),
    }


def list_roles(context: Context, args: Page) -> Response | None:
    """List the names of roles."""
    return list_response(context.storage.list_children(ROLES, args.after, args.size))


def read_role(context: Context, args: RoleName) -> Response | None:
    """Answer a role."""
    role = Rows(context.storage).find_role(args.role_name)
    return None if role is None else Response(data=describe_role(role))


def delete_role(context: Context, args: RoleName) -> None:
    """Delete a role and all its secret ids; a missing one is no error."""
    rows = Rows(context.storage)
    role = rows.find_role(args.role_name)
    if role is not None:
        rows.delete_role(role, context.now)


def write_role(context: Context, args: WriteRole) -> None:
    """Make or change a role."""
    rows = Rows(context.storage)
    former = rows.find_role(args.role_name)
    if former is not None and args.local_secret_ids not in {None, former.local_secret_ids}:
        raise InvalidRequest("local_secret_ids can only be modified during role creation")
    current = former or Role(name=args.role_name, uuid=make_uuid(), role_id=make_uuid())
    rows.put_role(_change(current, args), former)


def _change(role: Role, args: WriteRole) -> Role:
    cidrs = args.secret_id_bound_cidrs if args.secret_id_bound_cidrs is not None else args.bound_cidr_list
    given: dict[str, Any] = {
        "role_id": None if args.role_id is None else _check_role_id(args.role_id),
        "bind_secret_id": args.bind_secret_id,
        "secret_id_bound_cidrs": None if cidrs is None else parse_cidrs(cidrs),
        "secret_id_num_uses": args.secret_id_num_uses,
        "secret_id_ttl": args.secret_id_ttl,
        "local_secret_ids": args.local_secret_ids,
    }
    changed = replace(role, **{name: value for name, value in given.items() if value is not None})
    changed = replace(changed, parameters=change_parameters(role.parameters, args), legacy=note_older(role.legacy, args))
    return _require_constraint(changed)


def _require_constraint(role: Role) -> Role:
    if not (role.bind_secret_id or role.secret_id_bound_cidrs or role.parameters.token_bound_cidrs):
        raise InvalidRequest("1 error occurred:\n\t* at least one constraint should be enabled on the role\n\n")
    return role


def _check_role_id(role_id: str) -> str:
    if not role_id:
        raise InvalidRequest("missing role_id")
    if len(role_id.encode("utf-8", "replace")) > limits.APPROLE_NAME_BYTES_MAX or not role_id.isprintable():
        raise InvalidRequest("role_id is too long, or has a character that cannot be printed")
    return role_id


def read_role_id(context: Context, args: RoleName) -> Response | None:
    """Answer the role id of a role."""
    role = Rows(context.storage).find_role(args.role_name)
    return None if role is None else Response(data={"role_id": role.role_id})


def write_role_id(context: Context, args: RoleIdArgs) -> None:
    """Give a role another role id."""
    rows = Rows(context.storage)
    role = _require(rows, args.role_name)
    rows.put_role(replace(role, role_id=_check_role_id(args.role_id)), role)


def _require(rows: Rows, name: str) -> Role:
    role = rows.find_role(name)
    if role is None:
        raise UnsupportedPath
    return role


# -- single fields -------------------------------------------------------------------------------------------------------


def _read_property(one: _Property, context: Context, args: RoleName) -> Response:
    role = Rows(context.storage).find_role(args.role_name)
    if role is None:
        raise NotFound
    data = describe_role(role)
    answer = {one.shown or one.field: data[one.field]}
    answer |= {one.older: data[one.older]} if one.older in data else {}
    return Response(data=answer, warnings=(one.warning,) if one.warning else ())


def _write_property(one: _Property, context: Context, args: Any) -> None:
    rows = Rows(context.storage)
    role = _require(rows, args.role_name)
    given = {name: value for name in one.names if (value := getattr(args, name)) is not None}
    if not given:
        raise InvalidRequest(f"missing {one.field}")
    rows.put_role(_change(role, WriteRole(role_name=role.name, **given)), role)


def _reset_property(one: _Property, context: Context, args: RoleName) -> None:
    rows = Rows(context.storage)
    role = rows.find_role(args.role_name)
    if role is None:
        return
    if one.field in TokenParameters.__dataclass_fields__:
        changed = replace(role, parameters=replace(role.parameters, **{one.field: one.reset}))
    else:
        changed = replace(role, **{one.field: one.reset})
    rows.put_role(_require_constraint(changed), role)
