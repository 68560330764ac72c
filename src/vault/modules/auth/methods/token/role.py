"""Token roles: named rules under which `auth/token/create/<role>` makes tokens. One field table serves storage, reading and writing."""

import fnmatch
import re
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from vault.errors import InvalidRequest, NotFound
from vault.logical.args import BOOL, INT, LIST, STRING, TTL, arg
from vault.logical.context import SystemContext
from vault.logical.response import Response, list_response
from vault.modules.auth.cidr import parse_cidrs
from vault.modules.policy.name import DEFAULT, ROOT, parse_policy_names

PREFIX = "sys/token/role/"
_SUFFIX = re.compile(r"\w[\w.\- ]*[\w/]?", re.ASCII)
_ALIAS_MAX = 512
_TYPES = frozenset({"", "service", "batch", "default-service", "default-batch"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role as stored. Times are seconds; zero means unset."""

    name: str
    allowed_policies: tuple[str, ...] = ()
    disallowed_policies: tuple[str, ...] = ()
    allowed_policies_glob: tuple[str, ...] = ()
    disallowed_policies_glob: tuple[str, ...] = ()
    allowed_entity_aliases: tuple[str, ...] | None = None
    orphan: bool = False
    renewable: bool = True
    path_suffix: str = ""
    token_bound_cidrs: tuple[str, ...] = ()
    token_explicit_max_ttl: int = 0
    token_no_default_policy: bool = False
    token_num_uses: int = 0
    token_period: int = 0
    token_type: str = "default-service"  # noqa: S105 - the name of a kind, not a secret
    # Older names that were used to set a field are shown again beside the new ones.
    legacy: tuple[str, ...] = ()

    @property
    def has_allowed(self) -> bool:
        """Return whether the role names what is allowed."""
        return bool(self.allowed_policies or self.allowed_policies_glob)

    @property
    def decides_policies(self) -> bool:
        """Return whether the role decides about policies; else the caller's own policies are the bound."""
        return self.has_allowed or bool(self.disallowed_policies or self.disallowed_policies_glob)

    def allows_alias(self, alias: str) -> bool:
        """Return whether tokens of the role may belong to the entity of this alias, which is in lower case."""
        return (
            len(alias) <= _ALIAS_MAX
            and alias.isprintable()
            and _matches(alias, tuple(pattern.lower() for pattern in self.allowed_entity_aliases or ()))
        )

    def choose_policies(self, asked: tuple[str, ...] | None, own: tuple[str, ...], *, wants_default: bool) -> tuple[str, ...]:
        """Return the policies of a token of a role that decides about them; raises InvalidRequest. `own` are the caller's."""
        adds_default = wants_default and not self.token_no_default_policy and not self._disallows(DEFAULT)
        allowed = with_default(self.allowed_policies, adds=adds_default)
        if asked is not None:
            names = with_default(asked, adds=adds_default)
            if self.has_allowed:
                self._require_allowed(names, allowed)
        else:
            names = allowed if self.has_allowed else with_default(own, adds=adds_default)
        for name in names:
            if self._disallows(name):
                raise InvalidRequest(f'token policy "{name}" is disallowed by this role')
        return names

    def _disallows(self, policy: str) -> bool:
        return policy in self.disallowed_policies or _matches(policy, self.disallowed_policies_glob)

    def _require_allowed(self, names: tuple[str, ...], allowed: tuple[str, ...]) -> None:
        if not all(name in allowed or _matches(name, self.allowed_policies_glob) for name in names):
            raise InvalidRequest(
                f"token policies ({_go_list(names)}) must be subset of the role's allowed policies ({_go_list(allowed)}) "
                f"or glob policies ({_go_list(self.allowed_policies_glob)})"
            )


def with_default(names: tuple[str, ...], *, adds: bool) -> tuple[str, ...]:
    """Return policies in order, root alone if it is among them, else with the default policy where it is to be added."""
    if ROOT in names:
        return (ROOT,)
    return tuple(sorted({*names, DEFAULT} if adds else set(names)))


def _matches(policy: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(policy, glob.replace("[", "[[]").replace("?", "[?]")) for glob in globs)


def _go_list(items: Any) -> str:
    return "[" + " ".join(f'"{item}"' for item in items) + "]"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleName:
    """The role that the path names."""

    role_name: str = arg(STRING, "Name of the role.")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRole(RoleName):
    """The fields of a role; absent ones keep their value."""

    allowed_policies: tuple[str, ...] | None = arg(LIST, "Policies that tokens of this role may have.", default=None)
    disallowed_policies: tuple[str, ...] | None = arg(LIST, "Policies that tokens of this role may not have.", default=None)
    allowed_policies_glob: tuple[str, ...] | None = arg(LIST, "Like allowed_policies, with `*` as wildcard.", default=None)
    disallowed_policies_glob: tuple[str, ...] | None = arg(LIST, "Like disallowed_policies, with `*` as wildcard.", default=None)
    allowed_entity_aliases: tuple[str, ...] | None = arg(LIST, "Entity aliases that a caller may ask for.", default=None)
    orphan: bool | None = arg(BOOL, "Make tokens without a parent.", default=None)
    renewable: bool | None = arg(BOOL, "Make tokens that can be renewed.", default=None)
    path_suffix: str | None = arg(STRING, "Ends the path, and so the lease id, of tokens of this role.", default=None)
    token_bound_cidrs: tuple[str, ...] | None = arg(LIST, "Addresses from which tokens of this role are accepted.", default=None)
    token_explicit_max_ttl: int | None = arg(TTL, "Longest life, renewals included.", default=None)
    token_no_default_policy: bool | None = arg(BOOL, "Do not add the default policy.", default=None)
    token_num_uses: int | None = arg(INT, "How many requests a token is good for; 0: unlimited.", default=None)
    token_period: int | None = arg(TTL, "Make periodic tokens with this period.", default=None)
    token_type: str | None = arg(STRING, "service, batch, default-service or default-batch.", default=None)
    bound_cidrs: tuple[str, ...] | None = arg(LIST, "Older name of token_bound_cidrs.", default=None)
    explicit_max_ttl: int | None = arg(TTL, "Older name of token_explicit_max_ttl.", default=None)
    period: int | None = arg(TTL, "Older name of token_period.", default=None)


_LEGACY = {"bound_cidrs": "token_bound_cidrs", "explicit_max_ttl": "token_explicit_max_ttl", "period": "token_period"}
_POLICY_LISTS = ("allowed_policies", "disallowed_policies", "allowed_policies_glob", "disallowed_policies_glob")


def find_role(context: SystemContext, name: str) -> Role | None:
    """Return the role with this name."""
    entry = context.transaction.get(PREFIX + name)
    return None if entry is None else entry.decode(_decode)


def _decode(value: bytes) -> Role:
    return msgspec.json.decode(value, type=Role)


def role_exists(context: SystemContext, args: RoleName) -> bool:
    """Tell create from update."""
    return find_role(context, args.role_name) is not None


def read_role(context: SystemContext, args: RoleName) -> Response:
    """Answer the role in the wire's names."""
    role = find_role(context, args.role_name)
    if role is None:
        raise NotFound
    data = asdict(role)
    shown = data.pop("legacy")
    data |= {"explicit_max_ttl": 0, "period": 0}
    data |= {old: data[_LEGACY[old]] for old in shown}
    for optional in ("token_bound_cidrs", "token_num_uses"):
        if not data[optional]:
            del data[optional]
    return Response(data=data)


def write_role(context: SystemContext, args: WriteRole) -> None:
    """Create or change a role."""
    current = find_role(context, args.role_name) or Role(name=args.role_name)
    given = {key: value for key, value in asdict(args).items() if value is not None and key != "role_name"}
    by_old_name = {old: given.pop(old) for old in _LEGACY if old in given}
    legacy = {old for old in by_old_name if _LEGACY[old] not in given}
    given |= {_LEGACY[old]: by_old_name[old] for old in legacy}
    role = _replace(current, given, legacy)
    _check(role)
    context.transaction.put(PREFIX + role.name, msgspec.json.encode(role))


def _replace(current: Role, given: dict[str, Any], legacy: set[str]) -> Role:
    for name in _POLICY_LISTS:
        if name in given:
            given[name] = parse_policy_names(given[name])
    if "token_bound_cidrs" in given:
        given["token_bound_cidrs"] = parse_cidrs(given["token_bound_cidrs"])
    shown = legacy or set(current.legacy)
    return Role(**{**asdict(current), **given, "legacy": tuple(sorted(shown))})


def _check(role: Role) -> None:
    if ROOT in (*role.allowed_policies, *role.allowed_policies_glob):
        raise InvalidRequest("a role cannot allow the root policy")
    if role.token_num_uses < 0:
        raise InvalidRequest("'token_num_uses' cannot be negative")
    if role.token_type not in _TYPES:
        raise InvalidRequest(f"invalid 'token_type' value \"{role.token_type}\"")
    if role.token_type == "batch" and not role.orphan:  # noqa: S105 - the name of a kind
        raise InvalidRequest("'token_type' cannot be 'batch' when role is set to generate non-orphan tokens")
    if role.token_type == "batch" and role.renewable:  # noqa: S105 - the name of a kind
        raise InvalidRequest("'token_type' cannot be 'batch' when role is set to generate renewable tokens")
    if role.path_suffix and ("/" in role.path_suffix.rstrip("/") or _SUFFIX.fullmatch(role.path_suffix) is None):
        raise InvalidRequest("given role path suffix contains invalid characters; must match \\w[\\w-.]+\\w")


def delete_role(context: SystemContext, args: RoleName) -> None:
    """Delete a role; a missing one is no error."""
    context.transaction.delete(PREFIX + args.role_name)


def list_roles(context: SystemContext, _: Any) -> Response | None:
    """List role names."""
    return list_response(context.transaction.list_children(PREFIX))
