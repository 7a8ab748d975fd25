"""Sites over TLS: certificates are checked for the name, whatever address was reached; nobody is led back to http.

`SSL_CERT_FILE` is how an operator says which authorities to trust besides the public ones.
"""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ingestion.errors import SourceUnavailable
from ingestion.settings import SourcesSettings
from ingestion.sources.definitions import WebOrigin
from ingestion.sources.origin import Fetched
from ingestion.sources.web import Web
from tests.contracts.origins import Memory
from tests.ingestion.sources.servers import SiteServer, page, redirect, running_site, sitemap

NAME = "wiki.example"


@dataclass
class SecureSite:
    site: SiteServer
    certificate: Path
    heard: list[str | None] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"https://{NAME}:{self.site.port}{path}"


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[SecureSite]:
    """A site whose certificate is for `wiki.example` and signed by itself; `heard` are the names of the handshakes."""
    options = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-days", "2", "-nodes"]
    options += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    written = ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run(["openssl", "req", "-x509", *options, *written], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with running_site() as site:
        found = SecureSite(site, certificate)
        context.sni_callback = lambda connection, name, _: found.heard.append(name)  # type: ignore[assignment]
        site.server.socket = context.wrap_socket(site.server.socket, server_side=True, do_handshake_on_connect=False)
        site.pages = {"/": page("/a"), "/a": page()}
        yield found


def scan(url: str) -> set[str]:
    """What is fetched, where every name is this machine."""
    web = Web(
        WebOrigin(url=url, delay_s=0),
        settings=SourcesSettings(allowed_hosts=("127.0.0.1",)),
        max_bytes=100_000,
        resolve=lambda host, port: ["127.0.0.1"],
        pause=lambda seconds: None,
    )
    with closing(web):
        return {seen.key for seen in web.scan(Memory()) if isinstance(seen, Fetched)}


def test_nothing_is_asked_of_a_server_whose_certificate_is_not_trusted(secure: SecureSite) -> None:
    with pytest.raises(SourceUnavailable, match=r"(?i)certificate"):
        scan(secure.url("/"))
    assert set(secure.heard) == {NAME}
    assert secure.site.asked == []


def test_a_certificate_for_the_name_is_enough_and_for_another_name_is_not(
    secure: SecureSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secure.certificate))
    assert scan(secure.url("/")) == {secure.url("/"), secure.url("/a")}
    with pytest.raises(SourceUnavailable, match=r"(?i)certificate"):
        scan(secure.url("/").replace(NAME, "other.example"))


def test_a_start_that_was_moved_to_https_is_followed(secure: SecureSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secure.certificate))
    secure.site.pages["/map.xml"] = sitemap([secure.url("/a")])
    with running_site() as plain:
        plain.pages = {"/": redirect(secure.url("/")), "/map.xml": redirect(secure.url("/map.xml"))}
        assert scan(f"http://{NAME}:{plain.port}/") == {secure.url("/"), secure.url("/a")}
        assert scan(f"http://{NAME}:{plain.port}/map.xml") == {secure.url("/a")}


def test_nobody_is_led_back_from_https_to_http(secure: SecureSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secure.certificate))
    with running_site() as plain:
        plain_url = f"http://{NAME}:{plain.port}"
        secure.site.pages["/robots.txt"] = redirect(f"{plain_url}/robots.txt")
        secure.site.pages["/a"] = redirect(f"{plain_url}/a")
        assert scan(secure.url("/")) == {secure.url("/")}
        secure.site.pages["/"] = redirect(f"{plain_url}/")
        with pytest.raises(SourceUnavailable, match="redirects"):
            scan(secure.url("/"))
        assert plain.asked == []
