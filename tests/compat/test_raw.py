"""sys/raw, compared with the reference server on servers whose configuration asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.compat.differential.case import Case, c, run_table
from tests.compat.differential.normalise import body_problem, status_problem
from tests.compat.server_process import BAO, OURS, Server, await_active, configured_server, persistent_storage
from tests.compat.test_seal import initialise, unseal
from tests.compat.wire import Answer

MINE = 'path "sys/*" { capabilities = ["create", "read", "update", "delete", "list"] }'
OWN_FORMAT = "rows of other paths and in another form"
MORE = "rows that guard the audit trail and the seal are protected as well"
FEWER = "of the reference server's compressions we have gzip"
ROW, OTHER = "sys/raw/test/a", "sys/raw/test/b"
TABLE: tuple[Case, ...] = (
    c("PUT", "sys/policies/acl/mine", {"policy": MINE}),
    c("POST", "auth/token/create", {"policies": ["mine"]}, save={"mine": "auth.client_token"}),
    *(
        c(method, path, body, token=token)
        for token in ("mine", "nosuch", None)
        for method, body in (("GET", None), ("PUT", {"value": "x"}), ("DELETE", None), ("LIST", None))
        for path in (ROW, "sys/raw/core/keyring", "sys/raw")
    ),
    c("GET", "sys/raw/core/keyring"),
    c("GET", "sys/raw/core/keyring?encoding=base64"),
    c("DELETE", "sys/raw/core/keyring"),
    c("PUT", "sys/raw/core/keyring", {"value": "x"}, differs="an unusable input is a 400 for us, not a 500", allowed=(400,)),
    c("GET", "sys/raw/core/seal-config", differs=MORE, allowed=(400,)),
    c("GET", "sys/raw/core/audit", differs=MORE, allowed=(400,)),
    c("GET", "sys/raw/core/nosuch"),
    c("GET", "sys/raw/core"),
    c("GET", "sys/raw"),
    c("LIST", "sys/raw", differs=OWN_FORMAT, allowed=(200,)),
    c("LIST", "sys/raw/core", differs=OWN_FORMAT, allowed=(200,)),
    c("LIST", "sys/raw/nosuch"),
    *(
        row
        for body in (
            {"value": "hello"},
            {"value": "aGVsbG8=", "encoding": "base64"},
            {"value": "!!", "encoding": "base64"},
            {"value": "x", "encoding": "hex"},
            {"value": "hello", "compressed": True},
            {"value": "hello", "compressed": False},
            {"value": "hello", "compression_type": "gzip"},
            {"value": "hello", "compression_type": "none"},
            {"value": "hello", "compression_type": "lz4"},
            {"value": "hello", "compression_type": ""},
            {"value": {"a": 1}},
            {"value": "//4A", "encoding": "base64"},
        )
        for row in (c("PUT", ROW, body), c("GET", ROW), c("GET", f"{ROW}?encoding=base64"))
    ),
    *(
        row
        for body in (
            {"value": "hello", "compression_type": "none"},
            {"value": "hello", "compression_type": "lz4"},
            {"value": "hello", "compression_type": "gzip"},
            {"value": "again", "compression_type": "gzip"},
            {"value": "second", "compression_type": "none"},
            {"value": "second"},
            {"value": "third", "compressed": False},
            {"value": "fourth"},
            {"value": "fifth", "compression_type": "none"},
        )
        for row in (c("PUT", OTHER, body), c("GET", OTHER), c("GET", f"{OTHER}?compressed=false"))
        if not (row.path != OTHER and "gzip" in str(body))  # two compressors, two results
    ),
    c("DELETE", OTHER),
    c("PUT", OTHER, {"value": "x", "compression_type": "lzw"}, differs=FEWER, allowed=(400,)),
    c("DELETE", OTHER),
    c("PUT", OTHER, {"value": "x", "compression_type": "snappy"}, differs=FEWER, allowed=(400,)),
    c("DELETE", OTHER),
    c("GET", f"{ROW}?encoding=hex"),
    c("LIST", "sys/raw/test"),
    c("LIST", "sys/raw/test/"),
    c("DELETE", ROW),
    c("DELETE", ROW),
    c("GET", ROW),
    c("LIST", "sys/raw/test"),
)


def start(kind: str, folder: Path, stack: ExitStack) -> list[Answer]:
    """Run a server, send the table, and return the answers."""
    settings = persistent_storage(kind, folder) + "raw_storage_endpoint = true\n"
    server: Server = stack.enter_context(configured_server(kind, folder, settings))
    made = initialise(server.anonymous, 1, 1)
    unseal(server.anonymous, made["keys"])
    await_active(server.anonymous)
    return run_table(server.anonymous, TABLE, made["root_token"])


@pytest.fixture(scope="module")
def answers(target: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Answer, Answer]]]:
    """Send the table to both servers once."""
    with ExitStack() as stack:
        reference = start(BAO, tmp_path_factory.mktemp("reference"), stack)
        yield list(zip(reference, start(target, tmp_path_factory.mktemp("target"), stack), strict=True))


@pytest.mark.parametrize("number", [pytest.param(number, id=f"{number:03}-{case.name}") for number, case in enumerate(TABLE)])
def test_answer_equals_reference(target: str, answers: list[tuple[Answer, Answer]], number: int) -> None:
    """Ours answers as the reference does, apart from the listed differences."""
    case, (reference, ours) = TABLE[number], answers[number]
    if target != OURS and reference.status == 500:
        pytest.skip("the reference itself fails on this input")
    problems = list(filter(None, (status_problem(case, reference, ours), body_problem(case, reference, ours))))
    assert not problems, f"{case.name}\n" + "\n".join(problems) + f"\nraw ours: {ours.body[:600]!r}"
