"""`sys/loggers`: how much the parts of the server log, until its next start."""

from dataclasses import dataclass
from typing import Any

from vault.errors import InvalidRequest
from vault.log_levels import LOGGERS, SPELLINGS, LogLevels
from vault.logical.args import STRING, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelArgs:
    """The new level."""

    level: str = arg(STRING, "debug, info, warn or error.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggerPath:
    """The logger that the path names."""

    name: str = arg(STRING, "Name of the logger.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggerArgs(LevelArgs):
    """The new level of one logger."""

    name: str = arg(STRING, "Name of the logger.")


class LoggerPaths:
    """Handlers of levels. A level that is changed takes effect when the change is on record."""

    def __init__(self, levels: LogLevels) -> None:
        self._levels = levels

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path(
                "loggers",
                help="Tell and change how much the server logs.",
                read=Endpoint(handler=self.list_levels),
                update=Endpoint(handler=self.change_all, args=LevelArgs),
                delete=Endpoint(handler=self.reset_all),
            ),
            path(
                "loggers/{name}",
                help="Tell and change how much a part of the server logs.",
                read=Endpoint(handler=self.read_level, args=LoggerPath),
                update=Endpoint(handler=self.change_one, args=LoggerArgs),
                delete=Endpoint(handler=self.reset_one, args=LoggerPath),
            ),
        )

    def list_levels(self, context: SystemContext, _: Any) -> Response:
        """Answer the level of each logger."""
        return Response(data=self._levels.list_levels())

    def read_level(self, context: SystemContext, args: LoggerPath) -> Response:
        """Answer the level of one logger; nothing for one that is not there."""
        return Response(data={name: level for name, level in self._levels.list_levels().items() if name == args.name})

    def change_all(self, context: SystemContext, args: LevelArgs) -> None:
        """Set the level of all loggers."""
        self._change(context, LOGGERS, _parse_level(args.level))

    def change_one(self, context: SystemContext, args: LoggerArgs) -> None:
        """Set the level of one logger."""
        level = _parse_level(args.level)
        self._change(context, (_require_name(args.name),), level)

    def reset_all(self, context: SystemContext, _: Any) -> None:
        """Go back to the configured level."""
        self._change(context, LOGGERS, "")

    def reset_one(self, context: SystemContext, args: LoggerPath) -> None:
        """Go back to the configured level of one logger."""
        self._change(context, (_require_name(args.name),), "")

    def _change(self, context: SystemContext, names: tuple[str, ...], level: str) -> None:
        context.after_commit.append(lambda: self._levels.change(names, level))


def _require_name(name: str) -> str:
    if name not in LOGGERS:
        raise InvalidRequest(f'logger "{name}" not found')
    return name


def _parse_level(text: str) -> str:
    if not text:
        raise InvalidRequest("level is required")
    level = SPELLINGS.get(text.lower())
    if level is None:
        raise InvalidRequest(f"invalid level provided: unknown log level: {text}")
    return level
