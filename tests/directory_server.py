"""A real LDAP server over a small directory, in a process of its own: `python -m tests.directory_server PORT [CERT KEY]`.

It takes simple binds with passwords of entries, searches with filters below a base, StartTLS where it has a certificate. With one, it
also listens with TLS on the next port.
"""

import sys
from typing import Any

from ldaptor.inmemory import ReadOnlyInMemoryLDAPEntry
from ldaptor.interfaces import IConnectedLDAPEntry
from ldaptor.protocols.ldap.ldapserver import LDAPServer
from ldaptor.protocols.pureldap import LDAPExtendedResponse, LDAPStartTLSRequest
from twisted.internet import protocol, ssl
from twisted.internet import reactor as twisted_reactor
from twisted.python.components import registerAdapter

from tests.directory import BASE, GROUPS, PEOPLE, READER_PASSWORD

reactor: Any = twisted_reactor  # its types say less than it takes


def make_tree() -> ReadOnlyInMemoryLDAPEntry:
    """Return the directory."""
    root = ReadOnlyInMemoryLDAPEntry(BASE, {"objectClass": ["dcObject"], "dc": ["clinic"]})
    root.addChild("cn=reader", {"objectClass": ["person"], "cn": ["reader"], "userPassword": [READER_PASSWORD]})
    people = root.addChild("ou=people", {"objectClass": ["organizationalUnit"], "ou": ["people"]})
    for name, password in PEOPLE.items():
        fields = {"objectClass": ["inetOrgPerson"], "uid": [name], "cn": [name], "mail": [f"{name}@clinic"], "userPassword": [password]}
        people.addChild(f"uid={name}", fields)
    for place in ("a", "b"):  # the same uid twice
        folder = people.addChild(f"ou={place}", {"objectClass": ["organizationalUnit"], "ou": [place]})
        folder.addChild("uid=twin", {"objectClass": ["inetOrgPerson"], "uid": ["twin"], "cn": ["twin"], "userPassword": ["of twin"]})
    groups = root.addChild("ou=groups", {"objectClass": ["organizationalUnit"], "ou": ["groups"]})
    for name, members in GROUPS.items():
        fields = {"objectClass": ["groupOfNames"], "cn": [name], "member": [f"uid={member},ou=people,{BASE}" for member in members]}
        groups.addChild(f"cn={name}", fields)
    return root


class Server(LDAPServer):  # type: ignore[misc]  # the library has no types
    """The library's server, and StartTLS."""

    def extendedRequest_LDAPStartTLS(self, _data: Any, reply: Any) -> None:  # noqa: N802 - the library finds handlers by this name
        """Begin TLS after the answer."""
        reply(LDAPExtendedResponse(resultCode=0, responseName=LDAPStartTLSRequest.oid))
        self.transport.startTLS(self.factory.options)

    extendedRequest_LDAPStartTLS.oid = LDAPStartTLSRequest.oid  # type: ignore[attr-defined]


class Factory(protocol.ServerFactory):
    """Serves the directory."""

    protocol = Server
    options: Any = None

    def __init__(self, root: ReadOnlyInMemoryLDAPEntry) -> None:
        self.root = root


def main(port: int, certificate: str = "", key: str = "") -> None:
    """Serve until killed."""
    adapt: Any = registerAdapter
    adapt(lambda factory: factory.root, Factory, IConnectedLDAPEntry)
    factory = Factory(make_tree())
    if certificate:
        make: Any = ssl.DefaultOpenSSLContextFactory
        options = make(key, certificate)
        factory.options = options
        reactor.listenSSL(port + 1, factory, options, interface="127.0.0.1")
    reactor.listenTCP(port, factory, interface="127.0.0.1")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
