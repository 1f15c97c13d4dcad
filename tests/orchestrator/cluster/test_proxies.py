"""Checks for which hosts a proxy is asked, by the libraries that Soundings asks with."""

import urllib.request

import pytest
import requests

from orchestrator.cluster.proxies import LOOPBACK, ask_directly, proxy_variable

PROXY = "http://127.0.0.1:9"
HERE = ["http://localhost:8265", "http://127.0.0.1:5000/api", "http://[::1]:8265"]


@pytest.fixture
def proxy(monkeypatch):
    """Set proxies for all requests, as a company's machines do."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.setenv(name.upper(), "")
        monkeypatch.delenv(name.upper())
        monkeypatch.setenv(name, PROXY if name != "no_proxy" else "")


def exempt(url):
    """Return whether urllib and requests ask the host of a URL without a proxy."""
    by_urllib = bool(urllib.request.proxy_bypass(urllib.request.Request(url).host))
    by_requests = not requests.utils.get_environ_proxies(url)
    assert by_urllib == by_requests == (not proxy_variable(url))
    return by_urllib


def test_no_proxy_is_asked_for_this_machine(proxy):
    assert not any(map(exempt, HERE))
    ask_directly(*LOOPBACK)
    assert all(map(exempt, HERE))
    assert not exempt("http://head:8265") and proxy_variable("http://head:8265") == "http_proxy"


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_hosts_that_the_user_exempted_stay_exempt(proxy, monkeypatch, name):
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv(name, "example.org,10.0.0.1")
    ask_directly(*LOOPBACK)
    ask_directly(*LOOPBACK)
    assert all(map(exempt, [*HERE, "http://example.org", "http://10.0.0.1:1"]))
    assert not exempt("http://example.com")


def test_a_user_who_exempts_every_host_goes_on_doing_so(proxy, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    ask_directly(*LOOPBACK)
    assert all(map(exempt, [*HERE, "http://example.com"]))


def test_the_variable_is_that_of_the_scheme(proxy, monkeypatch):
    monkeypatch.delenv("https_proxy")
    assert proxy_variable("https://head:8265") == "all_proxy"
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    assert proxy_variable("https://head:8265") == "HTTPS_PROXY"
