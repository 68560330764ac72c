import os
import subprocess
import sys

from benchmarks.usage import read_cpu_seconds, read_pss_mib

BUSY = "sum(range(3_000_000)); print(flush=True); input()"


def test_usage_shows_database_apart_from_its_parent() -> None:
    """A database that the server itself started counts once, as database."""
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        apart = read_cpu_seconds(server_pid=os.getpid(), database_pid=child.pid)
        together = read_cpu_seconds(server_pid=os.getpid(), database_pid=None)
        memory = read_pss_mib(server_pid=os.getpid(), database_pid=child.pid)
        child.communicate(b"\n")
    assert apart.database > 0
    assert together.database == 0
    assert together.server >= apart.server + apart.database
    assert memory.server > memory.database > 1
