"""`sys/quotas`: how many requests a client may send. Applied before a request is read, see `quota`."""

import math
from dataclasses import dataclass, replace
from typing import Any

from vault.crypto import random
from vault.errors import InvalidRequest
from vault.logical.args import BOOL, STRING, TTL, Kind, Number, arg, parse_string
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response, list_response
from vault.mounts import Mounts
from vault.quota import QuotaConfig, Quotas, Rule

KIND = "rate-limit"
RULES_MAX = 1000  # every request looks through those with a star
_RATE_MAX = 2**31
_PATHS_MAX = 1000


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
class QuotaArgs(QuotaPath):
    """What it allows."""

    type: str = arg(STRING, "Kind of the quota: rate-limit.", default=KIND)
    path: str = arg(STRING, "Mount, path, or prefix with a star at its end; empty: everything.", default="")
    role: str = arg(STRING, "Not supported: a role is known only after its login was read.", default="")
    rate: float = arg(RATE, "Requests of one client in an interval.", default=0.0)
    interval: int = arg(TTL, "Length of an interval.", default=1)
    block_interval: int = arg(TTL, "How long a client is refused that asked once too often.", default=0)
    inheritable: bool | None = arg(BOOL, "Whether child namespaces have it, too; there are none.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigArgs:
    """What holds for all quotas; an absent field is empty or off."""

    rate_limit_exempt_paths: tuple[str, ...] = arg(PATHS, "Paths that have no limit; a star at the end is a prefix.", default=())
    enable_rate_limit_audit_logging: bool = arg(BOOL, "Of no effect: refused requests are always on record.", default=False)
    enable_rate_limit_response_headers: bool = arg(BOOL, "Tell clients what they have left.", default=False)


class QuotaPaths:
    """Handlers of quotas."""

    def __init__(self, quotas: Quotas, mounts: Mounts) -> None:
        self._quotas = quotas
        self._mounts = mounts
        mounts.on_move.append(quotas.follow_mount)

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path(
                "quotas/config",
                help="Say what holds for all quotas.",
                read=Endpoint(handler=self.read_config),
                update=Endpoint(handler=self.write_config, args=ConfigArgs),
            ),
            path("quotas/rate-limit", help="List the quotas.", list=Endpoint(handler=self.list_rules)),
            path(
                "quotas/rate-limit/{name}",
                help="Limit how many requests a client may send.",
                read=Endpoint(handler=self.read_rule, args=QuotaPath),
                update=Endpoint(handler=self.write_rule, args=QuotaArgs),
                delete=Endpoint(handler=self.delete_rule, args=QuotaPath),
            ),
        )

    def read_config(self, context: SystemContext, _: Any) -> Response:
        """Answer what holds for all quotas."""
        config = self._quotas.table(context.transaction).stored.config
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
        stored = self._quotas.table(context.transaction).stored
        config = QuotaConfig(
            exempt_paths=tuple(item.strip("/") for item in args.rate_limit_exempt_paths),
            audit_logging=args.enable_rate_limit_audit_logging,
            response_headers=args.enable_rate_limit_response_headers,
        )
        self._quotas.save(context.transaction, replace(stored, config=config))

    def list_rules(self, context: SystemContext, _: Any) -> Response | None:
        """List the quotas."""
        return list_response(tuple(sorted(self._quotas.table(context.transaction).stored.rules)))

    def read_rule(self, context: SystemContext, args: QuotaPath) -> Response | None:
        """Answer a quota."""
        rule = self._quotas.table(context.transaction).stored.rules.get(args.name)
        if rule is None:
            return None
        return Response(
            data={
                "name": rule.name,
                "type": KIND,
                "path": rule.path,
                "role": "",
                "rate": int(rule.rate) if rule.rate.is_integer() else rule.rate,
                "interval": rule.interval_seconds,
                "block_interval": rule.block_seconds,
                "inheritable": rule.inheritable,
            }
        )

    def write_rule(self, context: SystemContext, args: QuotaArgs) -> None:
        """Make or change a quota; its counters begin anew."""
        if args.type != KIND:
            raise InvalidRequest(f"only quotas of the type {KIND} are supported")
        if not 0 < args.rate <= _RATE_MAX:
            raise InvalidRequest("'rate' is invalid")
        place = self._find_place(context, args.path)
        if args.role:
            raise InvalidRequest("quotas of a role are not supported")
        stored = self._quotas.table(context.transaction).stored
        twin = next((rule.name for rule in stored.rules.values() if rule.path == place and rule.name != args.name), None)
        if twin is not None:
            raise InvalidRequest(f'quota rule with similar properties exists under the name "{twin}"')
        if len(stored.rules) >= RULES_MAX and args.name not in stored.rules:
            raise InvalidRequest(f"more than {RULES_MAX} quotas")
        rule = Rule(
            name=args.name,
            path=place,
            rate=args.rate,
            interval_seconds=args.interval or 1,
            block_seconds=args.block_interval,
            inheritable=args.inheritable if args.inheritable is not None else not place,
            revision=random.random_bytes(8).hex(),
        )
        self._quotas.save(context.transaction, replace(stored, rules={**stored.rules, args.name: rule}))

    def _find_place(self, context: SystemContext, text: str) -> str:
        """Return the path of a quota in its one spelling; raises InvalidRequest where no mount has it."""
        named = text.strip("/")
        if not named:
            return ""
        mount = self._mounts.table(context.transaction).router.find(f"{named}/")
        if mount is None or mount.tainted:
            raise InvalidRequest(f'invalid mount path "{named}/"')
        return mount.path if mount.path == f"{named}/" else named

    def delete_rule(self, context: SystemContext, args: QuotaPath) -> None:
        """Forget a quota."""
        stored = self._quotas.table(context.transaction).stored
        if args.name in stored.rules:
            rest = {name: rule for name, rule in stored.rules.items() if name != args.name}
            self._quotas.save(context.transaction, replace(stored, rules=rest))
