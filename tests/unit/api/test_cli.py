import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from api.cli import normalise, server
from vault.version import VERSION


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        (["server", "-dev"], ["server", "--dev"]),
        (["-config=a-b.hcl"], ["--config=a-b.hcl"]),
        (["-dev-root-token-id", "root"], ["--dev-root-token-id", "root"]),
        (["--dev"], ["--dev"]),
        (["kv", "put", "a", "-"], ["kv", "put", "a", "-"]),
        (["kv", "put", "a", "k=-v"], ["kv", "put", "a", "k=-v"]),
        (["a", "--", "-dev"], ["a", "--", "-dev"]),
        (["-h", "-1"], ["-h", "-1"]),
    ],
)
def test_long_options_take_one_dash(given: list[str], normal: list[str]) -> None:
    """Vault's single-dash options work; values and everything behind `--` stay."""
    assert normalise(given) == normal


def check(folder: Path, text: str, *flags: str) -> tuple[int, str]:
    """Return what a check of a configuration exits with and says."""
    (folder / "vault.hcl").write_text(text)
    answer = CliRunner().invoke(server, ["--config", str(folder / "vault.hcl"), "--check", *flags])
    return answer.exit_code, answer.output


def test_check_refuses_a_wrong_value_with_its_place(tmp_path: Path) -> None:
    """The exit code tells, and the message names file, line and what was expected; flags are checked, too."""
    assert check(tmp_path, "workers = 1\nthreads = 0")[1].endswith(
        f"{tmp_path}/vault.hcl:2: threads: expected a whole number from 1 to 256\n"
    )
    assert check(tmp_path, "threads = 0")[0] == 1
    code, text = check(tmp_path, "threads = 1", "--listener-tls-min-version=tls10")
    assert (code, "--listener-tls-min-version: expected one of tls12, tls13" in text) == (1, True)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ('audit "fifo" "a" {}', 'audit "fifo" "a": unknown backend type: "fifo"'),
        ('audit "file" "a" {}', 'audit "file" "a": file_path is required'),
        ('audit "file" "a" { options { file_path = "/a"\n mode = "0999" } }', 'audit "file" "a": mode must be octal'),
        ('audit "socket" "a" { options { address = "there" } }', 'audit "socket" "a": address must be host:port'),
    ],
)
def test_check_refuses_a_wrong_device_with_its_place(tmp_path: Path, block: str, expected: str) -> None:
    """What only the device knows is told with file and line, too."""
    code, text = check(tmp_path, f"threads = 1\n{block}")
    assert (code, f"{tmp_path}/vault.hcl:2: {expected}" in text) == (1, True), text


def test_check_names_unknown_options_of_a_device(tmp_path: Path) -> None:
    """A misspelt option is told: it would be missed when it is needed."""
    code, text = check(tmp_path, 'audit "file" "a" {\n options {\n file_path = "/a"\n snyc = true } }')
    assert code == 0
    assert f'{tmp_path}/vault.hcl:2: unknown option \'snyc\' of audit "file" "a" has no effect' in text


def test_check_refuses_a_folder_without_files(tmp_path: Path) -> None:
    """A folder that was mistaken for that of the configuration does not mean the defaults."""
    answer = CliRunner().invoke(server, ["--config", str(tmp_path), "--check"])
    assert (answer.exit_code, f"configuration folder {tmp_path}: expected files" in answer.output) == (1, True)


def test_check_accepts_without_starting(tmp_path: Path) -> None:
    """Unknown keys are only named."""
    code, text = check(tmp_path, 'ui = true\nstorage "embedded" { path = "/nowhere" }')
    assert code == 0
    assert "vault.hcl:1: unknown setting 'ui' has no effect" in text
    assert "The configuration can be used." in text


@pytest.mark.parametrize("name", ["log_file", "pid_file"])
def test_check_refuses_a_file_that_cannot_be_made(tmp_path: Path, name: str) -> None:
    """A folder that is missing is told before the start, as a setting."""
    code, text = check(tmp_path, f'{name} = "{tmp_path}/none/file"\nstorage "embedded" {{ path = "/nowhere" }}')
    assert (code, f"{name} {tmp_path}/none/file: expected a path in a folder that exists" in text) == (1, True), text


def test_refused_start_is_told_in_the_log(tmp_path: Path) -> None:
    """The log may be all that somebody looks at: it says why, and not only where in the source."""
    (tmp_path / "vault.hcl").write_text(
        f'log_file = "{tmp_path}/log"\nlistener "tcp" {{\n address = "127.0.0.1:0"\n tls_disable = true\n}}\n'
        f'storage "postgresql" {{ connection_url = "postgresql://nobody@127.0.0.1:1/none" }}'
    )
    command = [sys.executable, "-m", "api.cli", "server", f"-config={tmp_path}/vault.hcl"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    reason = "the database refuses or cannot be reached"
    assert (answer.returncode, reason in answer.stderr, reason in (tmp_path / "log").read_text()) == (1, True, True)


@pytest.mark.parametrize("arguments", [["-h"], ["server", "-h"], ["kv", "get", "-h"]])
def test_short_help(arguments: list[str]) -> None:
    """As Vault's command line has it."""
    answer = subprocess.run([sys.executable, "-m", "api.cli", *arguments], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout.startswith("Usage: ")) == (0, True)


@pytest.mark.parametrize("arguments", [["version"], ["-version"], ["--version"], ["-v"]])
def test_version(arguments: list[str]) -> None:
    """However it is asked for, the second word is the number: what scripts for Vault look for."""
    answer = subprocess.run([sys.executable, "-m", "api.cli", *arguments], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (0, f"health-vault v{VERSION}\n")


def test_secret_has_no_flag() -> None:
    """Other users of the machine see command lines."""
    help_text = CliRunner().invoke(server, ["--help"]).output
    assert "--storage-path" in help_text
    assert "connection-url" not in help_text
    assert "current-key " not in help_text
