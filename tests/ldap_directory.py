"""A small real LDAP directory in a process of its own: bind, search, LDAPS and StartTLS.

It writes down each question, so that tests can count them and see who asked. Only who is bound may search, unless it says otherwise.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any, cast

from tests.certificates import Authority

_MODULES = (
    "ldaptor.inmemory",
    "ldaptor.interfaces",
    "ldaptor.protocols.pureldap",
    "ldaptor.protocols.ldap.ldaperrors",
    "ldaptor.protocols.ldap.ldapserver",
    "twisted.internet.reactor",
    "twisted.internet.ssl",
    "twisted.internet.protocol",
    "twisted.python.components",
)
TREE = """\
dn: dc=test
objectClass: dcObject
dc: test

dn: ou=people,dc=test
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=test
objectClass: organizationalUnit
ou: groups

dn: cn=searcher,dc=test
objectClass: person
cn: searcher
userPassword: search-password

dn: uid=ann,ou=people,dc=test
objectClass: person
uid: ann
mail: ann@clinic.test
userPrincipalName: ann@clinic.test
userPassword: ann-password

dn: uid=bob,ou=people,dc=test
objectClass: person
uid: bob
mail: shared@clinic.test
userPassword: bob-password

dn: uid=cid,ou=people,dc=test
objectClass: person
uid: cid
mail: shared@clinic.test
userPassword: cid-password

dn: cn=Doctors,ou=groups,dc=test
objectClass: groupOfNames
cn: Doctors
member: uid=ann,ou=people,dc=test

dn: cn=staff,ou=groups,dc=test
objectClass: posixGroup
cn: staff
memberUid: ann
memberUid: bob

"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Where it is, and what it was asked."""

    port: int
    tls_port: int
    ca_cert: str
    log: Path

    @property
    def url(self) -> str:
        """Return its address without TLS."""
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        """Return its address with TLS."""
        return f"ldaps://127.0.0.1:{self.tls_port}"

    @property
    def seen(self) -> list[str]:
        """Return the questions since the last `forget`, in order."""
        return self.log.read_text().splitlines()

    def forget(self) -> None:
        """Forget the questions."""
        self.log.write_text("")

    @property
    def config(self) -> dict[str, Any]:
        """Return a mount's configuration for it."""
        return {
            "url": self.url,
            "binddn": "cn=searcher,dc=test",
            "bindpass": "search-password",
            "userdn": "ou=people,dc=test",
            "userattr": "uid",
            "groupdn": "ou=groups,dc=test",
            "token_policies": "base",
        }


@contextmanager
def running_directory(folder: Path) -> Iterator[Directory]:
    """Run one with an authority of its own."""
    authority = Authority(folder, "directory")
    pair = authority.issue("ldap")
    log = folder / "seen"
    log.write_text("")
    command = [sys.executable, "-W", "ignore", "-m", "tests.ldap_directory", pair.cert_file, pair.key_file, str(log)]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port, tls_port = json.loads(process.stdout.readline())
            yield Directory(port=port, tls_port=tls_port, ca_cert=Path(authority.file).read_text(), log=log)
        finally:
            process.terminate()


def main(cert_file: str, key_file: str, log: str) -> None:
    """Serve until terminated."""
    # Not at the top: twisted stays out of the processes of the tests.
    inmemory, interfaces, pureldap, ldaperrors, ldapserver, reactor, ssl, protocol, components = (
        cast("Any", import_module(name)) for name in _MODULES
    )
    context = ssl.DefaultOpenSSLContextFactory(key_file, cert_file, sslmethod=ssl.SSL.TLS_METHOD)

    def note(text: str) -> None:
        with Path(log).open("a") as file:
            file.write(text + "\n")

    class Server(ldapserver.LDAPServer):  # type: ignore[misc,name-defined]
        def handle_LDAPBindRequest(self, request: Any, controls: Any, reply: Any) -> Any:  # noqa: N802 - the library's
            note(f"bind {request.dn.decode()}")
            return super().handle_LDAPBindRequest(request, controls, reply)

        def handle_LDAPSearchRequest(self, request: Any, controls: Any, reply: Any) -> Any:  # noqa: N802 - the library's
            note(f"search {request.baseObject.decode()} {request.filter!r}")
            if self.boundUser is None:
                raise ldaperrors.LDAPInsufficientAccessRights
            return super().handle_LDAPSearchRequest(request, controls, reply)

        def handle_LDAPExtendedRequest(self, request: Any, controls: Any, reply: Any) -> Any:  # noqa: N802 - the library's
            note("starttls")
            reply(pureldap.LDAPExtendedResponse(resultCode=0, responseName=b"1.3.6.1.4.1.1466.20037"))
            self.transport.startTLS(context)

    class Factory(protocol.ServerFactory):  # type: ignore[misc,name-defined]
        protocol = Server

        def __init__(self, root: Any) -> None:
            self.root = root

    components.registerAdapter(lambda factory: factory.root, Factory, interfaces.IConnectedLDAPEntry)

    def serve(root: Any) -> None:
        factory = Factory(root)
        plain = reactor.listenTCP(0, factory, interface="127.0.0.1")
        secure = reactor.listenSSL(0, factory, context, interface="127.0.0.1")
        sys.stdout.write(json.dumps([plain.getHost().port, secure.getHost().port]) + "\n")
        sys.stdout.flush()

    inmemory.fromLDIFFile(BytesIO(TREE.encode())).addCallback(serve)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
