"""`sys/quotas`: how many requests a client may send, and how many leases there may be. Applied in `quota` and `lease_quota`."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from vault.crypto import random
from vault.errors import InvalidRequest
from vault.lease_quota import count_leases, follow_mount, save_rules
from vault.logical.args import BOOL, COUNT, STRING, TTL, Kind, Number, arg, parse_string
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.mount import Mount
from vault.logical.response import Response, list_response
from vault.mounts import Mounts
from vault.quota import LeaseRule, QuotaConfig, Rule, read_table, save_table

KIND = "rate-limit"
LEASE_KIND = "lease-count"
RULES_MAX = 1000  # every request looks through those with a star
_RATE_MAX = 2**31
_PATHS_MAX = 1000
_LEASES_MAX = 2**31
_TEXT_MAX = 512


def _parse_rate(value: Any) -> float:
    try:
        rate = float("" if isinstance(value, bool | Number) else value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("expected a number") from None
    return rate if math.isfinite(rate) else -1.0


def _parse_paths(value: Any) -> tuple[str, ...]:
    """Read a list of paths, or one path, whose commas are part of it."""
    return tuple(parse_string(part) for part in value) if isinstance(value, list | tuple) else (parse_string(value),)


RATE: Kind[float] = Kind("float", {"type": "number", "format": "float"}, _parse_rate)
PATHS: Kind[tuple[str, ...]] = Kind("slice", {"type": "array", "items": {"type": "string"}}, _parse_paths)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaPath:
    """The quota that the path names."""

    name: str = arg(STRING, "Name of the quota.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceArgs(QuotaPath):
    """Where a quota holds."""

    path: str = arg(STRING, "Mount, path, or prefix with a star at its end; empty: everything.", default="")
    role: str = arg(STRING, "Role of the auth mount that is the path.", default="")
    inheritable: bool | None = arg(BOOL, "Whether child namespaces have it, too; there are none.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaArgs(PlaceArgs):
    """What a rate limit allows."""

    type: str = arg(STRING, "Kind of the quota: rate-limit.", default=KIND)
    rate: float = arg(RATE, "Requests of one client in an interval.", default=0.0)
    interval: int = arg(TTL, "Length of an interval.", default=1)
    block_interval: int = arg(TTL, "How long a client is refused that asked once too often.", default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseQuotaArgs(PlaceArgs):
    """How many leases there may be."""

    type: str = arg(STRING, "Kind of the quota: lease-count.", default=LEASE_KIND)
    max_leases: int = arg(COUNT, "How many leases there may be.", default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigArgs:
    """What holds for all quotas; an absent field is empty or off."""

    rate_limit_exempt_paths: tuple[str, ...] = arg(PATHS, "Paths that have no limit; a star at the end is a prefix.", default=())
    enable_rate_limit_audit_logging: bool = arg(BOOL, "Of no effect: refused requests are always on record.", default=False)
    enable_rate_limit_response_headers: bool = arg(BOOL, "Tell clients what they have left.", default=False)


class QuotaPaths:
    """Handlers of quotas."""

    def __init__(self, mounts: Mounts, recount: Callable[[], None]) -> None:
        """`recount` begins to count the leases that a changed quota has now."""
        self._mounts = mounts
        self._recount = recount
        mounts.on_move.append(follow_mount)

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path(
                "quotas/config",
                help="Say what holds for all quotas.",
                read=Endpoint(handler=self.read_config),
                update=Endpoint(handler=self.write_config, args=ConfigArgs),
            ),
            path("quotas/rate-limit", help="List the rate limits.", list=Endpoint(handler=self.list_rules)),
            path(
                "quotas/rate-limit/{name}",
                help="Limit how many requests a client may send.",
                read=Endpoint(handler=self.read_rule, args=QuotaPath),
                update=Endpoint(handler=self.write_rule, args=QuotaArgs),
                delete=Endpoint(handler=self.delete_rule, args=QuotaPath),
            ),
            path("quotas/lease-count", help="List the quotas of leases.", list=Endpoint(handler=self.list_lease_rules)),
            path(
                "quotas/lease-count/{name}",
                help="Limit how many leases there may be.",
                read=Endpoint(handler=self.read_lease_rule, args=QuotaPath),
                update=Endpoint(handler=self.write_lease_rule, args=LeaseQuotaArgs),
                delete=Endpoint(handler=self.delete_lease_rule, args=QuotaPath),
            ),
        )

    def read_config(self, context: SystemContext, _: Any) -> Response:
        """Answer what holds for all quotas."""
        config = read_table(context.transaction).stored.config
        return Response(
            data={
                "rate_limit_exempt_paths": list(config.exempt_paths),
                "enable_rate_limit_audit_logging": config.audit_logging,
                "enable_rate_limit_response_headers": config.response_headers,
            }
        )

    def write_config(self, context: SystemContext, args: ConfigArgs) -> None:
        """Change what holds for all quotas."""
        if len(args.rate_limit_exempt_paths) > _PATHS_MAX:
            raise InvalidRequest(f"more than {_PATHS_MAX} paths")
        stored = read_table(context.transaction).stored
        config = QuotaConfig(
            exempt_paths=tuple(item.strip("/") for item in args.rate_limit_exempt_paths),
            audit_logging=args.enable_rate_limit_audit_logging,
            response_headers=args.enable_rate_limit_response_headers,
        )
        save_table(context.transaction, replace(stored, config=config))

    # -- rate limits --------------------------------------------------------------------------------------------------

    def list_rules(self, context: SystemContext, _: Any) -> Response | None:
        """List the rate limits."""
        return list_response(tuple(sorted(read_table(context.transaction).stored.rules)))

    def read_rule(self, context: SystemContext, args: QuotaPath) -> Response | None:
        """Answer a rate limit."""
        rule = read_table(context.transaction).stored.rules.get(args.name)
        if rule is None:
            return None
        return Response(
            data={
                **_describe_place(rule, KIND),
                "rate": int(rule.rate) if rule.rate.is_integer() else rule.rate,
                "interval": rule.interval_seconds,
                "block_interval": rule.block_seconds,
            }
        )

    def write_rule(self, context: SystemContext, args: QuotaArgs) -> None:
        """Make or change a rate limit; its counters begin anew."""
        if args.type != KIND:
            raise InvalidRequest(f"only quotas of the type {KIND} are supported here")
        if not 0 < args.rate <= _RATE_MAX:
            raise InvalidRequest("'rate' is invalid")
        stored = read_table(context.transaction).stored
        place = self._find_place(context, args)
        _check_place(stored.rules, args, place)
        rule = Rule(
            name=args.name,
            path=place,
            role=args.role,
            rate=args.rate,
            interval_seconds=args.interval or 1,
            block_seconds=args.block_interval,
            inheritable=args.inheritable if args.inheritable is not None else not place,
            revision=random.random_bytes(8).hex(),
        )
        save_table(context.transaction, replace(stored, rules={**stored.rules, args.name: rule}))

    def delete_rule(self, context: SystemContext, args: QuotaPath) -> None:
        """Forget a rate limit."""
        stored = read_table(context.transaction).stored
        if args.name in stored.rules:
            rest = {name: rule for name, rule in stored.rules.items() if name != args.name}
            save_table(context.transaction, replace(stored, rules=rest))

    # -- leases -------------------------------------------------------------------------------------------------------

    def list_lease_rules(self, context: SystemContext, _: Any) -> Response | None:
        """List the quotas of leases."""
        return list_response(tuple(sorted(read_table(context.transaction).stored.leases)))

    def read_lease_rule(self, context: SystemContext, args: QuotaPath) -> Response | None:
        """Answer a quota of leases, and how many there are."""
        rule = read_table(context.transaction).stored.leases.get(args.name)
        if rule is None:
            return None
        counter = count_leases(context.transaction, rule)
        return Response(data={**_describe_place(rule, LEASE_KIND), "max_leases": rule.max_leases, "counter": counter})

    def write_lease_rule(self, context: SystemContext, args: LeaseQuotaArgs) -> None:
        """Make or change a quota of leases. Those that there are already count."""
        if args.type != LEASE_KIND:
            raise InvalidRequest(f"only quotas of the type {LEASE_KIND} are supported here")
        if not 0 < args.max_leases <= _LEASES_MAX:
            raise InvalidRequest("'max_leases' is invalid")
        stored = read_table(context.transaction).stored
        place = self._find_place(context, args)
        _check_place(stored.leases, args, place)
        before = stored.leases.get(args.name)
        stays = before is not None and (before.path, before.role) == (place, args.role)
        rule = LeaseRule(
            name=args.name,
            path=place,
            role=args.role,
            max_leases=args.max_leases,
            inheritable=args.inheritable if args.inheritable is not None else not place,
            revision=before.revision if before is not None and stays else random.random_bytes(8).hex(),
        )
        save_rules(context.transaction, replace(stored, leases={**stored.leases, args.name: rule}))
        context.after_commit.append(self._recount)

    def delete_lease_rule(self, context: SystemContext, args: QuotaPath) -> None:
        """Forget a quota of leases. Its leases count for the next wider one."""
        stored = read_table(context.transaction).stored
        if args.name in stored.leases:
            rest = {name: rule for name, rule in stored.leases.items() if name != args.name}
            save_rules(context.transaction, replace(stored, leases=rest))
            context.after_commit.append(self._recount)

    def _find_place(self, context: SystemContext, args: PlaceArgs) -> str:
        """Return the path of a quota in its one spelling; raises InvalidRequest where no mount has it, or knows no roles."""
        named = args.path.strip("/")
        mount = self._mounts.table(context.transaction).router.find(f"{named}/") if named else None
        if named and (mount is None or mount.tainted):
            raise InvalidRequest(f'invalid mount path "{named}/"')
        if args.role:
            self._require_roles(mount, named)
        if mount is None:
            return ""
        return mount.path if mount.path == f"{named}/" else named

    def _require_roles(self, mount: Mount | None, named: str) -> None:
        if mount is None or not mount.is_auth:
            path = "" if mount is None else mount.path
            raise InvalidRequest(f'Mount path "{path}" is not a valid auth method and therefore unsuitable for use with role-based quotas')
        if mount.path != f"{named}/":
            raise InvalidRequest(
                "Quotas cannot contain both a path suffix and a role. If a role is provided, path must be a valid auth mount with a "
                "concept of roles"
            )
        rows = self._mounts.registry.find(mount).paths
        if not any(endpoint.role is not None for row in rows for endpoint in row.operations.values()):
            raise InvalidRequest(f'Mount path "{mount.path}" does not support use with role-based quotas')


def _check_place(rules: Mapping[str, Rule] | Mapping[str, LeaseRule], args: PlaceArgs, place: str) -> None:
    """Refuse a second quota of the same kind for the same place, and too many of them."""
    if len(args.name) > _TEXT_MAX or len(args.role) > _TEXT_MAX or not args.name.isprintable() or not args.role.isprintable():
        raise InvalidRequest("the name of a quota or a role is too long or contains a character that is not allowed")
    for rule in rules.values():
        if (rule.path, rule.role) == (place, args.role) and rule.name != args.name:
            raise InvalidRequest(f'quota rule with similar properties exists under the name "{rule.name}"')
    if len(rules) >= RULES_MAX and args.name not in rules:
        raise InvalidRequest(f"more than {RULES_MAX} quotas")


def _describe_place(rule: Rule | LeaseRule, kind: str) -> dict[str, Any]:
    return {"name": rule.name, "type": kind, "path": rule.path, "role": rule.role, "inheritable": rule.inheritable}
