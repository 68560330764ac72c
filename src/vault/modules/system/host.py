"""`sys/host-info`: what the machine is and how busy."""

import os
import platform
from typing import Any

import psutil

from vault.clock import format_rfc3339_nano
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response

_GO_NAMES = {"guest_nice": "guestNice"}


def host_paths() -> tuple[Path, ...]:
    """Return the table."""
    return (path("host-info", help="Describe the machine.", read=Endpoint(handler=read_host)),)


def read_host(context: SystemContext, _: Any) -> Response:
    """Describe the machine."""
    return Response(
        data={
            "timestamp": format_rfc3339_nano(context.now_ns),
            "cpu": _describe_cpus(),
            "cpu_times": _describe_cpu_times(),
            "disk": [_describe_disk(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=False)],
            "host": _describe_host(context.now),
            "memory": _describe_memory(),
        }
    )


def _describe_cpus() -> list[dict[str, Any]]:
    frequencies = psutil.cpu_freq(percpu=True) or []
    mhz = frequencies[0].current if frequencies else 0.0
    cores = psutil.cpu_count(logical=False) or 0
    model = platform.processor() or platform.machine()
    return [
        {"cpu": number, "cores": 1, "physicalId": "", "coreId": str(number), "modelName": model, "mhz": mhz, "physicalCores": cores}
        for number in range(psutil.cpu_count() or 1)
    ]


def _describe_cpu_times() -> list[dict[str, Any]]:
    return [
        {"cpu": f"cpu{number}", **{_GO_NAMES.get(name, name): value for name, value in times._asdict().items()}}
        for number, times in enumerate(psutil.cpu_times(percpu=True))
    ]


def _describe_disk(place: str, kind: str) -> dict[str, Any]:
    try:
        usage, nodes = psutil.disk_usage(place), os.statvfs(place)
    except OSError:  # unmounted since, or not ours to look at
        return {"path": place, "fstype": kind}
    used = nodes.f_files - nodes.f_ffree
    return {
        "path": place,
        "fstype": kind,
        "total": usage.total,
        "free": usage.free,
        "used": usage.used,
        "usedPercent": usage.percent,
        "inodesTotal": nodes.f_files,
        "inodesUsed": used,
        "inodesFree": nodes.f_ffree,
        "inodesUsedPercent": 100 * used / nodes.f_files if nodes.f_files else 0.0,
    }


def _describe_host(now: float) -> dict[str, Any]:
    system = _read_release()
    started = int(psutil.boot_time())
    return {
        "hostname": platform.node(),
        "uptime": max(0, int(now) - started),
        "bootTime": started,
        "procs": len(psutil.pids()),
        "os": platform.system().lower(),
        "platform": system.get("ID", ""),
        "platformFamily": system.get("ID_LIKE", system.get("ID", "")),
        "platformVersion": system.get("VERSION_ID", ""),
        "kernelVersion": platform.release(),
        "kernelArch": platform.machine(),
    }


def _read_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:  # a system without that file
        return {}


def _describe_memory() -> dict[str, Any]:
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    data = {name: value for name, value in memory._asdict().items() if name != "percent"}
    return data | {"usedPercent": memory.percent, "swaptotal": swap.total, "swapfree": swap.free}
