"""No request leaves for an address that is not allowed: by number, by name, by redirect, or by a name that changes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.errors import DocumentRejected, RejectionCode, SourceUnavailable
from ingestion.settings import SourcesSettings
from ingestion.sources.addresses import checked_addresses, resolve
from ingestion.sources.definitions import WebOrigin
from ingestion.sources.origin import Fetched
from ingestion.sources.web import Web
from tests.contracts.origins import Memory
from tests.ingestion.sources.servers import SiteServer, page, redirect, running_site
from tests.ingestion.sources.sites import Reader

FORBIDDEN = """
    127.0.0.1 127.8.9.1 0.0.0.0 0.1.2.3 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 169.254.0.1
    100.64.0.1 192.0.0.8 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 192.88.99.1 224.0.0.1 239.1.1.1 240.0.0.1
    255.255.255.255 ::1 :: fe80::1 fe80::1%1 fec0::1 fc00::1 fd00:ec2::254 ff02::1 ff0e::1 2001:db8::1 3fff::1
    ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::1
    2002:7f00:1:: 2002:a9fe:a9fe:: 2001:0:4136:e378:8000:63bf:3fff:fdd2 ::127.0.0.1 ::ffff:0:127.0.0.1 100::1 5f00::1
    """.split()  # noqa: SIM905 - shorter to read
PUBLIC = ["93.184.215.14", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2a00:1450:4001::1"]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_addresses_that_are_not_public_are_forbidden(address: str) -> None:
    with pytest.raises(DocumentRejected, match="PLUMBLINE_SOURCES__ALLOWED_HOSTS") as caught:
        checked_addresses("name.example", 80, (), lambda host, port: [address])
    assert caught.value.reason is RejectionCode.FORBIDDEN_ADDRESS


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_pass(address: str) -> None:
    assert checked_addresses("name.example", 80, (), lambda host, port: [address]) == (address,)


@given(st.ip_addresses(v=4))
def test_an_address_packed_into_ipv6_is_judged_as_what_it_reaches(address: ipaddress.IPv4Address) -> None:
    def passes(text: str) -> bool:
        try:
            checked_addresses("name.example", 80, (), lambda host, port: [text])
        except DocumentRejected:
            return False
        return True

    assert passes(f"::ffff:{address}") == passes(f"64:ff9b::{address}") == passes(str(address))
    assert not passes(f"::{address}")


def test_one_forbidden_address_among_several_forbids_the_name() -> None:
    with pytest.raises(DocumentRejected):
        checked_addresses("name.example", 80, (), lambda host, port: ["8.8.8.8", "10.0.0.1"])


@pytest.mark.parametrize(
    "allowed", ["10.0.0.1", "10.0.0.0/8", "wiki.internal", "WIKI.internal.", "::ffff:10.0.0.1/104", "10.1.2.3/8"]
)
def test_hosts_addresses_and_networks_can_be_allowed(allowed: str) -> None:
    expected = not allowed.startswith("::")
    try:
        found = checked_addresses("Wiki.internal", 80, (allowed,), lambda host, port: ["10.0.0.1"])
    except DocumentRejected:
        assert not expected
    else:
        assert found == ("10.0.0.1",)
        assert expected


def test_what_is_allowed_is_no_more_than_what_is_said() -> None:
    for allowed in ("10.0.0.2", "internal", "iki.internal", "10.0.0.0/32", ""):
        with pytest.raises(DocumentRejected):
            checked_addresses("wiki.internal", 80, (allowed,), lambda host, port: ["10.0.0.1"])


@pytest.mark.parametrize(
    "host", ["localhost", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "[::1]", "localhost."]
)
def test_other_spellings_of_loopback_are_resolved_before_they_are_judged(host: str) -> None:
    with pytest.raises(DocumentRejected):
        checked_addresses(host, 80, (), resolve)


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with running_site() as server:
        server.pages = {"/": page("/a"), "/a": page()}
        yield server


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]"])
def test_a_source_at_a_private_address_is_unavailable_and_nothing_is_sent(site: SiteServer, host: str) -> None:
    definition = WebOrigin(url=f"http://{host}:{site.port}/", delay_s=0)
    web = Web(definition, settings=SourcesSettings(), max_bytes=1000)
    with closing(web), pytest.raises(SourceUnavailable, match="not a public address"):
        list(web.scan(Memory()))
    assert site.asked == []


def test_a_name_for_loopback_may_be_allowed(site: SiteServer) -> None:
    definition = WebOrigin(url=f"http://localhost:{site.port}/", delay_s=0)
    web = Web(definition, settings=SourcesSettings(allowed_hosts=("localhost",)), max_bytes=1000)
    with closing(web):
        found = [seen.key for seen in web.scan(Memory()) if isinstance(seen, Fetched)]
    assert found == [f"http://localhost:{site.port}{path}" for path in ("/", "/a")]
    assert site.asked[0][1]["host"] == f"localhost:{site.port}"


def test_ipv6_addresses_are_reached_and_guarded_alike() -> None:
    with running_site("::1") as site:
        site.pages = {"/": page()}
        assert list(Reader(site).scan().fetched) == [f"http://[::1]:{site.port}/"]
        with pytest.raises(SourceUnavailable, match="not a public address"):
            Reader(site, settings={"allowed_hosts": ("127.0.0.1",)}).scan()


def test_a_redirect_of_robots_to_a_private_address_is_not_followed(site: SiteServer) -> None:
    with running_site("::1") as inner:
        site.pages["/robots.txt"] = redirect(inner.url("/secret"))
        with pytest.raises(SourceUnavailable, match="not a public address"):
            Reader(site, settings={"allowed_hosts": ("127.0.0.1",)}).scan()
        assert inner.asked == []


def test_a_redirect_of_a_page_to_another_host_is_never_followed(site: SiteServer) -> None:
    with running_site() as inner:
        site.pages["/a"] = redirect(inner.url("/secret"))
        Reader(site).scan()
        assert inner.asked == []


class Rebinding:
    """A name that is public when it is first asked for, and at loopback from then on."""

    def __init__(self) -> None:
        self.questions = 0

    def __call__(self, host: str, port: int) -> list[str]:
        self.questions += 1
        return ["93.184.215.14"] if self.questions == 1 else ["127.0.0.1"]


def test_a_name_that_changes_between_check_and_connection_gains_nothing() -> None:
    """The connection goes to what was checked; a new connection is a new check."""
    with running_site() as site:
        site.pages = {"/": page()}
        resolver = Rebinding()
        definition = WebOrigin(url=f"http://rebinding.example:{site.port}/", delay_s=0)
        settings = SourcesSettings(timeout_s=0.1)
        web = Web(definition, settings=settings, max_bytes=1000, resolve=resolver, pause=lambda seconds: None)
        with closing(web), pytest.raises(SourceUnavailable, match=r"not a public address|can't be read"):
            list(web.scan(Memory()))
        assert resolver.questions >= 1
        assert site.asked == []


def test_each_connection_asks_for_the_name_once_and_goes_where_it_was_told(site: SiteServer) -> None:
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    definition = WebOrigin(url=f"http://wiki.example:{site.port}/", delay_s=0)
    web = Web(definition, settings=SourcesSettings(allowed_hosts=("127.0.0.1",)), max_bytes=1000, resolve=resolver)
    with closing(web):
        assert sum(isinstance(seen, Fetched) for seen in web.scan(Memory())) == 2
    assert asked == ["wiki.example"]
    assert {headers["host"] for _, headers in site.asked} == {f"wiki.example:{site.port}"}


def test_a_dead_address_is_passed_over_for_a_live_one(site: SiteServer) -> None:
    definition = WebOrigin(url=f"http://wiki.example:{site.port}/", delay_s=0)
    settings = SourcesSettings(allowed_hosts=("127.0.0.0/8", "::1"))
    web = Web(definition, settings=settings, max_bytes=1000, resolve=lambda host, port: ["::1", "127.0.0.1"])
    with closing(web):
        assert sum(isinstance(seen, Fetched) for seen in web.scan(Memory())) == 2


def test_an_address_with_a_password_is_refused_when_it_is_added() -> None:
    for url in ("https://user:secret@example.com/", "https://", "https:///x", "https://exa mple.com/"):
        with pytest.raises(ValueError, match=r"host|password|pattern"):
            WebOrigin(url=url)
