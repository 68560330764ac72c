"""What a server and its PostgreSQL cost, apart. Memory is PSS, so that pages shared by processes count once."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One amount of the server and of its database, zero where it has none."""

    server: float
    database: float


def read_cpu_seconds(*, server_pid: int, database_pid: int | None) -> Usage:
    """Return the CPU time used since the start, that of finished children included."""
    return _read(_read_cpu_seconds, server_pid, database_pid)


def read_pss_mib(*, server_pid: int, database_pid: int | None) -> Usage:
    """Return the memory held now."""
    return _read(_read_pss_mib, server_pid, database_pid)


def _read(read_one: Callable[[psutil.Process], float], server_pid: int, database_pid: int | None) -> Usage:
    database = set() if database_pid is None else _find_tree(database_pid)
    server = _find_tree(server_pid) - database  # the server may be the parent of its database
    return Usage(server=_add_up(read_one, server), database=_add_up(read_one, database))


def _find_tree(root_pid: int) -> set[psutil.Process]:
    root = psutil.Process(root_pid)
    return {root, *root.children(recursive=True)}


def _add_up(read_one: Callable[[psutil.Process], float], processes: set[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            total += read_one(process)
    return total


def _read_cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def _read_pss_mib(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss) / MIB
