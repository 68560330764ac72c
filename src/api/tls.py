"""TLS of one listener: what is agreed with a client, and the bytes of one connection.

Python's own `ssl` refuses a client certificate that it does not know, where Vault only asks for it and lets whoever uses it judge it;
hence pyOpenSSL. No session is ever resumed: a resumed one would carry a certificate that was shown, or not asked for, another time.
"""

import secrets
import select
import socket
from collections.abc import Callable
from pathlib import Path

from OpenSSL import SSL

from vault import limits
from vault.config_file import WrongSetting
from vault.crypto.pem import encode_certificate, load_private_key
from vault.settings import Tls

VERSIONS = {"tls10": SSL.TLS1_VERSION, "tls11": SSL.TLS1_1_VERSION, "tls12": SSL.TLS1_2_VERSION, "tls13": SSL.TLS1_3_VERSION}
# A client that breaks off without TLS's word for it is no error: every request says how long it is.
_OPTIONS = (
    SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE | SSL.OP_IGNORE_UNEXPECTED_EOF
)
_RECORD_BYTES = 16_384
_HTTP = "http request"  # OpenSSL's words for a client that speaks plain HTTP
_SPEAK_TLS = b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"


class TlsFailure(ConnectionError):
    """The client and this listener did not agree; the text is OpenSSL's reason."""


# --- what is agreed -----------------------------------------------------------------------------------------------------


def make_context(tls: Tls) -> SSL.Context:
    """Return what new connections of a listener use; raises WrongSetting naming the file or value that cannot be used."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_options(_OPTIONS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(secrets.token_bytes(16))  # without one, OpenSSL ends the handshake of a client that offers a session
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    _set_versions(context, tls)
    _set_suites(context, tls.cipher_suites)
    _set_certificate(context, tls)
    _set_client_certificates(context, tls)
    return context


def _set_versions(context: SSL.Context, tls: Tls) -> None:
    for name, value in (("tls_min_version", tls.min_version), ("tls_max_version", tls.max_version)):
        if value not in VERSIONS:
            raise WrongSetting(f"{name} {value!r}: expected one of {', '.join(VERSIONS)}")
    if VERSIONS[tls.min_version] > VERSIONS[tls.max_version]:
        raise WrongSetting("tls_min_version: expected at most tls_max_version")
    context.set_min_proto_version(VERSIONS[tls.min_version])
    context.set_max_proto_version(VERSIONS[tls.max_version])


def _set_suites(context: SSL.Context, names: str) -> None:
    """Set the suites of TLS 1.3, whose names begin with TLS_, and those of the versions before apart: OpenSSL has two lists."""
    listed = [name for name in names.split(":") if name]
    newer = [name for name in listed if name.startswith("TLS_")]
    older = [name for name in listed if not name.startswith("TLS_")]
    try:
        if newer:
            context.set_tls13_ciphersuites(":".join(newer).encode())
        if older:
            context.set_cipher_list(":".join(older).encode())
    except SSL.Error:
        raise WrongSetting(f"tls_cipher_suites {names!r}: expected OpenSSL's names of suites, like ECDHE-RSA-AES128-GCM-SHA256") from None


def _set_certificate(context: SSL.Context, tls: Tls) -> None:
    for name, path in (("tls_cert_file", tls.cert_file), ("tls_key_file", tls.key_file)):
        _require_readable(name, path)
    try:
        context.use_certificate_chain_file(tls.cert_file)
    except SSL.Error:
        raise WrongSetting(f"tls_cert_file {tls.cert_file}: expected a certificate in PEM, followed by its chain") from None
    try:
        context.use_privatekey(load_private_key(Path(tls.key_file).read_bytes()))  # type: ignore[arg-type]  # TLS has its say on the kind
        context.check_privatekey()
    except ValueError as expected:
        raise WrongSetting(f"tls_key_file {tls.key_file}: expected {expected}") from None
    except (SSL.Error, TypeError):
        raise WrongSetting(f"tls_key_file {tls.key_file}: expected the private key of the certificate in {tls.cert_file}") from None


def _set_client_certificates(context: SSL.Context, tls: Tls) -> None:
    if tls.require_client_cert and (tls.disable_client_certs or not tls.client_ca_file):
        raise WrongSetting("tls_require_and_verify_client_cert: expected tls_client_ca_file, and tls_disable_client_certs not set")
    if tls.client_ca_file:
        _require_readable("tls_client_ca_file", tls.client_ca_file)
        try:
            context.load_verify_locations(tls.client_ca_file)
            context.load_client_ca(tls.client_ca_file.encode())
        except SSL.Error:
            raise WrongSetting(f"tls_client_ca_file {tls.client_ca_file}: expected certificates in PEM") from None
    if tls.require_client_cert:
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    elif not tls.disable_client_certs:
        context.set_verify(SSL.VERIFY_PEER, _accept_any)


def _require_readable(name: str, path: str) -> None:
    try:
        Path(path).read_bytes()
    except OSError as error:
        raise WrongSetting(f"{name} {path or '(none)'}: expected a file that can be read: {error.strerror}") from None


def _accept_any(*_: object) -> bool:
    return True


# --- one connection -----------------------------------------------------------------------------------------------------


class PlainStream:
    """The bytes of a connection without TLS. The socket blocks, but only for a moment at a time."""

    __slots__ = ("_sock",)
    wants_write = False

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def receive(self, *, patient: bool) -> bytes:
        """Return what has arrived, b"" at the end; raises BlockingIOError when nothing is there, after a moment if patient."""
        return self._sock.recv(65_536, 0 if patient else socket.MSG_DONTWAIT)

    def send(self, data: bytes | memoryview) -> int:
        """Return how much was taken without waiting."""
        try:
            return self._sock.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def has_more(self) -> bool:
        """Return whether bytes were taken from the socket that nobody has asked for."""
        return False

    def finish(self) -> None:
        """Tell the client that nothing more comes."""
        self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close at once."""
        self._sock.close()

    def list_peer_certificates(self) -> tuple[bytes, ...]:
        """Return none: only TLS has certificates."""
        return ()


class TlsStream:
    """The same over TLS. The handshake happens inside `receive`. Never blocks in OpenSSL: one call could wait for many small pieces."""

    __slots__ = ("_poll", "_sock", "_tls", "wants_write")

    def __init__(self, context: SSL.Context, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._tls = SSL.Connection(context, sock)
        self._tls.set_accept_state()
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self.wants_write = False

    def receive(self, *, patient: bool) -> bytes:
        """Return what has arrived, as above; raises TlsFailure when there is no agreement."""
        self.wants_write = False
        if patient and not self._tls.pending() and not self._poll.poll(limits.IDLE_SECONDS * 1000):
            raise BlockingIOError
        try:
            return bytes(self._tls.recv(_RECORD_BYTES))
        except SSL.WantReadError:
            raise BlockingIOError from None
        except SSL.WantWriteError:
            self.wants_write = True
            raise BlockingIOError from None
        except (SSL.ZeroReturnError, SSL.SysCallError):
            return b""
        except SSL.Error as error:
            raise self._explain(error) from None

    def send(self, data: bytes | memoryview) -> int:
        """Return how much was taken without waiting."""
        try:
            return int(self._tls.send(data))
        except SSL.WantWriteError:
            return 0
        except SSL.Error as error:
            raise ConnectionResetError from error

    def has_more(self) -> bool:
        """Return whether bytes were taken from the socket that nobody has asked for."""
        return bool(self._tls.pending())

    def finish(self) -> None:
        """Tell the client that nothing more comes."""
        self._attempt(self._tls.shutdown)
        self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close at once, and say so: what breaks off without a word may have been cut by somebody else."""
        self._attempt(self._tls.shutdown)
        self._sock.close()

    def list_peer_certificates(self) -> tuple[bytes, ...]:
        """Return the certificate that the client showed, in DER, and what it sent to explain it.

        Unless the listener requires one, nobody has verified it.
        """
        own = self._tls.get_peer_certificate(as_cryptography=True)
        if own is None:
            return ()
        first = encode_certificate(own)
        sent = (encode_certificate(member) for member in self._tls.get_peer_cert_chain(as_cryptography=True) or ())
        return (first, *(member for member in sent if member != first))

    def _explain(self, error: SSL.Error) -> TlsFailure:
        entries = error.args[0] if error.args else ()
        reason = str(entries[0][-1]) if entries else "unknown"
        if reason == _HTTP:
            self._sock.send(_SPEAK_TLS)
        return TlsFailure(reason)

    def _attempt(self, call: Callable[[], object]) -> None:
        try:
            call()
        except SSL.Error:
            return


Stream = PlainStream | TlsStream
