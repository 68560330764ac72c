"""Logins by certificate with real clients over real TLS: hvac, bao, and what a proxy says. Ours only: listeners are in the configuration.

Every listener is served by all workers; connections are made anew for each request, so the workers take turns.
"""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import hvac
import pytest
import requests

from tests.certificates import Authority
from tests.compat.command import Command
from tests.compat.server_process import ROOT_TOKEN, Server, free_address, listening_dev_server
from tests.issuer import Issued, make

HEADER = "X-SSL-Client-Cert"
FORWARDS = f"""  x_forwarded_for_reject_not_present = false
  x_forwarded_for_client_cert_header = "{HEADER}"
  x_forwarded_for_client_cert_header_decoders = "URL,DER"
"""
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A server with a plain listener, one for clients, and some behind proxies."""

    server: Server
    folder: Path
    ca_file: str
    urls: dict[str, str]
    root: Issued = field(default_factory=lambda: make("root", authority=True))

    def post(self, listener: str, path: str, *shown: Issued, token: str = "", header: str | None = None, body: Any = None) -> Any:
        """Send a request over a fresh connection that shows a certificate."""
        headers = ({"X-Vault-Token": token} if token else {}) | ({HEADER: header} if header is not None else {})
        cert = shown[0].write(self.folder, *shown[1:]) if shown else None
        return requests.post(
            f"{self.urls[listener]}/v1/{path}", json=body or {}, headers=headers, cert=cert, verify=self.ca_file, timeout=30
        )


def _listener(address: str, tls: str, more: str = "") -> str:
    return f'listener "tcp" {{\n  address = "{address}"\n{tls}{more}}}\n'


@pytest.fixture(scope="module")
def site(target: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run the server."""
    if target != "ours":
        pytest.skip("listeners of ours")
    folder = tmp_path_factory.mktemp("site")
    authority = Authority(folder / "authority")
    pair = authority.issue("server")
    tls = f'  tls_cert_file = "{pair.cert_file}"\n  tls_key_file = "{pair.key_file}"\n'
    kinds = {
        "tls": (tls, ""),
        "behind": ("  tls_disable = true\n", f'  x_forwarded_for_authorized_addrs = "127.0.0.0/8"\n{FORWARDS}'),
        "behind-tls": (tls, f'  x_forwarded_for_authorized_addrs = "127.0.0.0/8"\n{FORWARDS}'),
        "far": (tls, f'  x_forwarded_for_authorized_addrs = "192.0.2.0/24"\n{FORWARDS}'),
        "lax": (tls, f'  x_forwarded_for_authorized_addrs = "192.0.2.0/24"\n{FORWARDS}  x_forwarded_for_reject_not_authorized = false\n'),
    }
    addresses = {name: free_address() for name in kinds}
    stanzas = "".join(_listener(addresses[name], *kinds[name]) for name in kinds)
    with listening_dev_server(folder, stanzas) as server:
        urls = {name: f"{'http' if name == 'behind' else 'https'}://{address}" for name, address in addresses.items()}
        yield Site(server=server, folder=folder, ca_file=authority.file, urls=urls | {"plain": server.url})


@pytest.fixture
def mount(site: Site) -> Iterator[str]:
    """Mount the method for one test, with a role for the authority."""
    name = f"cert{next(_numbers)}"
    assert site.server.root.post(f"sys/auth/{name}", {"type": "cert"}).status == 204
    assert site.server.root.post(f"auth/{name}/certs/web", {"certificate": site.root.pem, "token_policies": "web"}).status == 204
    yield name
    site.server.root.delete(f"sys/auth/{name}")


def test_header_is_no_certificate_from_just_anybody(site: Site, mount: str) -> None:
    """On a listener that knows no such header, or from a peer that is no proxy, it gives nothing; a true certificate still does."""
    shown = site.root.issue()
    header, login = quote(shown.pem), f"auth/{mount}/login"
    for listener in ("tls", "plain", "lax"):
        assert site.post(listener, login, header=header).json() == {"errors": ["no client certificate found"]}
    refused = site.post("far", login, header=header)
    assert (refused.status_code, "not authorized" in refused.json()["errors"][0]) == (400, True)
    assert site.post("far", login, shown).json()["auth"]["metadata"]["common_name"] == "client"
    other = site.root.issue("other")
    assert site.post("lax", login, other, header=header).json()["auth"]["metadata"]["common_name"] == "other"


@pytest.mark.parametrize("listener", ["behind", "behind-tls"])
def test_header_of_a_proxy_is_a_certificate(site: Site, mount: str, listener: str) -> None:
    """It is judged like any other; what the proxy shows to us itself is never a client's."""
    shown, proxy = site.root.issue("anna"), (site.root.issue("proxy"),) if listener == "behind-tls" else ()
    login = f"auth/{mount}/login"
    for header in (None, ""):
        assert site.post(listener, login, *proxy, header=header).json() == {"errors": ["no client certificate found"]}
    for header in ("nonsense", quote(shown.pem) + "," + quote(shown.pem)):
        assert site.post(listener, login, *proxy, header=header).status_code == 400
    assert site.post(listener, login, *proxy, header=quote(make("anna").pem)).status_code == 400
    answer = site.post(listener, login, *proxy, header=quote(shown.pem))
    token = answer.json()["auth"]["client_token"]
    assert answer.json()["auth"]["metadata"]["common_name"] == "anna"
    assert site.post(listener, "auth/token/renew-self", *proxy, token=token).status_code == 400
    assert site.post(listener, "auth/token/renew-self", *proxy, token=token, header=quote(shown.pem)).status_code == 200
    assert site.post("tls", "auth/token/renew-self", shown, token=token).status_code == 200


def test_certificate_lets_in_over_tls(site: Site, mount: str) -> None:
    """On all workers: the authority's own clients, with what stands between, and nobody else; the same certificate renews."""
    between = site.root.issue("between", authority=True)
    shown, login = between.issue("anna"), f"auth/{mount}/login"
    wrong = (make("anna"), make("root", authority=True).issue("anna"), site.root.issue("anna", until=timedelta(minutes=-1)), shown)
    for _ in range(4):
        for one in wrong:
            assert site.post("tls", login, one).status_code == 400
        assert site.post("tls", login).status_code == 400
        assert site.post("tls", login, shown, between).status_code == 200
    token = site.post("tls", login, shown, between).json()["auth"]["client_token"]
    others: tuple[tuple[Issued, ...], ...] = ((), (between.issue("anna"), between), (site.root.issue("anna"),))
    for _ in range(4):
        assert site.post("tls", "auth/token/renew-self", shown, between, token=token).status_code == 200
        for other in others:
            assert site.post("tls", "auth/token/renew-self", *other, token=token).status_code == 400
        assert site.post("plain", "auth/token/renew-self", token=token).status_code == 400


def test_list_counts_on_every_worker(site: Site, mount: str) -> None:
    """From the moment that it is written, whether or not anybody has logged in before."""
    good, bad = site.root.issue("good"), site.root.issue("bad")
    root = site.server.root
    assert root.post(f"auth/{mount}/crls/main", {"crl": site.root.revoke(bad).decode()}).status == 204
    for _ in range(6):
        assert site.post("tls", f"auth/{mount}/login", bad).status_code == 400
        assert site.post("tls", f"auth/{mount}/login", good).status_code == 200
    assert root.get(f"auth/{mount}/crls/main").data == {"serials": {bad.serial: {}}}
    assert root.list(f"auth/{mount}/crls").data == {"keys": ["main"]}
    assert root.delete(f"auth/{mount}/crls/main").status == 204
    for _ in range(6):
        assert site.post("tls", f"auth/{mount}/login", bad).status_code == 200


def test_hvac_drives_every_endpoint(site: Site, mount: str) -> None:
    """As its documentation says."""
    admin = hvac.Client(url=site.server.url, token=ROOT_TOKEN)
    shown = site.root.issue("anna")
    cert_file, key_file = shown.write(site.folder)
    cert = admin.auth.cert
    cert.create_ca_certificate_role(
        "web", certificate=site.root.pem, allowed_common_names="an*", token_policies=["web"], token_ttl=600, mount_point=mount
    )
    assert cert.read_ca_certificate_role("web", mount_point=mount)["data"]["allowed_common_names"] == ["an*"]
    assert cert.list_certificate_roles(mount_point=mount)["data"]["keys"] == ["web"]
    assert cert.configure_tls_certificate(mount_point=mount, disable_binding=True).status_code == 204
    client = hvac.Client(url=site.urls["tls"], verify=site.ca_file)
    answer = client.auth.cert.login(name="web", cert_pem=cert_file, key_pem=key_file, mount_point=mount)
    assert answer["auth"]["policies"] == ["default", "web"]
    assert client.lookup_token()["data"]["meta"]["common_name"] == "anna"
    assert client.auth.token.renew_self()["auth"]["lease_duration"] == 600
    cert.delete_certificate_role("web", mount_point=mount)
    with pytest.raises(hvac.exceptions.InvalidRequest):
        client.auth.cert.login(name="web", cert_pem=cert_file, key_pem=key_file, mount_point=mount)


def test_bao_logs_in(site: Site, mount: str, tmp_path: Path) -> None:
    """`bao login -method=cert`, by a role and without, and not with a stranger's certificate."""
    command = Command(url=site.urls["tls"], token=None, home=tmp_path)

    def log_in(shown: Issued, *words: str) -> Any:
        cert_file, key_file = shown.write(tmp_path)
        files = (f"-ca-cert={site.ca_file}", f"-client-cert={cert_file}", f"-client-key={key_file}")
        return command.run("login", *files, "-method=cert", f"-path={mount}", "-no-store", *words, output="json")

    assert log_in(make("anna")).code == 2
    for words in ((), ("name=web",)):
        found = log_in(site.root.issue("anna"), *words).ok().json
        assert (found["auth"]["policies"], found["auth"]["metadata"]["cert_name"]) == (["default", "web"], "web")


def test_tls_12_and_13_show_the_same(site: Site, mount: str) -> None:
    """In both versions the certificate is there for the first request of a connection."""
    shown = site.root.issue("anna")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=site.ca_file)
        context.minimum_version = context.maximum_version = version
        context.load_cert_chain(*shown.write(site.folder))
        session = requests.Session()
        adapter = requests.adapters.HTTPAdapter()
        adapter.init_poolmanager(1, 1, ssl_context=context)
        session.mount("https://", adapter)
        with session:
            assert session.post(f"{site.urls['tls']}/v1/auth/{mount}/login", json={}, timeout=30).status_code == 200
