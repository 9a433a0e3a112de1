"""The connection to the cache: TLS, passwords, and reconnecting."""

from pathlib import Path

import pytest

from chalicelib.adapters.cache import client
from tests.fault_injection.valkey import Proxy, Valkey, cached_in, tls_for_this_machine
from tests.integration.cache.resource import Resource


def test_closed_connection_is_reopened(valkey: Valkey, resource: Resource) -> None:
    resource.read()
    valkey.client.client_kill_filter(_type="normal", skipme=True)

    assert resource.read() == (1, "hit")


@pytest.mark.parametrize(("password", "served"), [("open sesame", "hit"), ("guess", "bypass")])
def test_cache_connection_uses_tls_with_a_verified_host(
    valkey: Valkey, resource: Resource, tmp_path: Path, caplog: pytest.LogCaptureFixture, password: str, served: str
) -> None:
    context, certificate = tls_for_this_machine(tmp_path)
    proxy = Proxy(valkey.port, context)
    valkey.client.config_set("requirepass", "open sesame")
    try:
        url = f"valkeys://:{password}@127.0.0.1:{proxy.port}?ssl_ca_certs={certificate}"
        with cached_in(url.replace(" ", "%20")):
            resource.read()
            assert resource.read() == (1, served)
        for wrong in (url.partition("?")[0], url.replace("valkeys", "valkey").partition("?")[0]):
            with cached_in(wrong.replace(" ", "%20")):
                assert resource.read() == (1, "bypass")  # no certificate that it knows; no TLS
    finally:
        valkey.client.config_set("requirepass", "")
        proxy.close()
    assert password not in caplog.text + str([record.__dict__ for record in caplog.records])


def test_tls_handshake_slower_than_a_read_is_no_failure(
    valkey: Valkey, resource: Resource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, certificate = tls_for_this_machine(tmp_path)
    proxy = Proxy(valkey.port, context)
    monkeypatch.setattr(client, "READ_TIMEOUT_SECONDS", 0.05)
    proxy.handshake_delay = 0.2
    try:
        with cached_in(f"valkeys://127.0.0.1:{proxy.port}?ssl_ca_certs={certificate}"):
            assert resource.read() == (1, "miss")
            assert resource.read() == (1, "hit")
    finally:
        proxy.close()
