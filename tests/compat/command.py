"""Runs the real bao command against a server. Surprise: BAO_ADDR and VAULT_ADDR are both set, as a user of either client would."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.compat.server_process import BAO_BINARY

RUN_SECONDS_MAX = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run of the command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Decode what -format=json printed."""
        return json.loads(self.out)

    def ok(self) -> Outcome:
        """Require success."""
        assert self.code == 0, f"exit {self.code}\n{self.out}\n{self.err}"
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """The bao command, pointed at one server with one token."""

    url: str
    token: str | None
    home: Path

    def with_token(self, token: str | None) -> Command:
        """Return the same command carrying another token."""
        return Command(url=self.url, token=token, home=self.home)

    def run(self, *words: str, stdin: str = "", output: str = "") -> Outcome:
        """Run one sub-command; `output` names a format other than the table."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("VAULT_", "BAO_"))}
        kept |= {"BAO_ADDR": self.url, "VAULT_ADDR": self.url, "HOME": str(self.home), "BAO_MAX_RETRIES": "0"}
        if self.token is not None:
            kept["BAO_TOKEN"] = self.token
        if output:
            kept["BAO_FORMAT"] = output
        done = subprocess.run(
            [BAO_BINARY, *words], capture_output=True, text=True, timeout=RUN_SECONDS_MAX, env=kept, input=stdin, check=False
        )
        return Outcome(code=done.returncode, out=done.stdout, err=done.stderr)

    def json(self, *words: str) -> Any:
        """Run one sub-command that must succeed and decode the JSON that it prints."""
        return self.run(*words, output="json").ok().json
