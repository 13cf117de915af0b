"""Asks osv.dev for known vulnerabilities of every installed release; part of `make check`.

Ends with 1 when there is one. Where osv.dev cannot be reached it says so and ends with 0: a
machine without the network still has to be able to check its work.
"""

import json
import sys
import urllib.request
from importlib.metadata import distributions

SERVICE = "https://api.osv.dev/v1/querybatch"
WITHIN_S = 20


def installed() -> list[tuple[str, str]]:
    """(name, version) of what this environment has, without this project itself."""
    found = {(one.name, one.version) for one in distributions() if one.name != "gridpurse"}
    return sorted(found)


def known(releases: list[tuple[str, str]], service: str = SERVICE) -> list[str]:
    """One line for each release with vulnerabilities; OSError when the service does not answer."""
    queries = [
        {"package": {"name": name, "ecosystem": "PyPI"}, "version": version}
        for name, version in releases
    ]
    request = urllib.request.Request(
        service, json.dumps({"queries": queries}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=WITHIN_S) as answer:
        results = json.load(answer)["results"]
    lines = []
    for (name, version), result in zip(releases, results, strict=True):
        if result.get("vulns"):
            ids = ", ".join(one["id"] for one in result["vulns"])
            lines.append(f"audit: {name} {version}: {ids}; pin a release without them")
    return lines


def main() -> int:
    releases = installed()
    try:
        lines = known(releases)
    except (OSError, ValueError, KeyError) as error:
        print(f"audit: NOT DONE, no answer of {SERVICE}: {error}")
        return 0
    print("\n".join(lines) or f"audit: {len(releases)} releases, no known vulnerability")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
