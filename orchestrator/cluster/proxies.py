"""Keeps requests to this machine away from proxies, and names the proxy of other requests."""

import os
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

# As urllib, requests and gRPC compare them with the host of a URL: an IPv6 address with its
# brackets and without.
LOOPBACK = ("localhost", "127.0.0.1", "::1", "[::1]")


def ask_directly(*hosts: str) -> None:
    """Exempt hosts from the proxies that the environment names, in this process and its children.

    Args:
        hosts: names or addresses of hosts.
    """
    exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    names = [name for name in exempt.split(",") if name.strip()]
    if "*" not in names:
        names += [host for host in hosts if host not in names]
    # Of the two names some libraries read only one.
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(names)


def proxy_variable(url: str) -> str:
    """Return the environment variable whose proxy a request of this URL goes through, or nothing.

    Args:
        url: URL of the request.
    """
    parts = urlsplit(url)
    variables = [f"{parts.scheme}_proxy", "all_proxy"]
    for variable in (name for lower in variables for name in (lower, lower.upper())):
        if os.environ.get(variable) and not proxy_bypass(parts.netloc):
            return variable
    return ""
