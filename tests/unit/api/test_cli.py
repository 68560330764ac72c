import pytest

from api.cli import normalise


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
