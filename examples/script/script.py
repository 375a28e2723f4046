"""A token in a line, and calls that have one; a person consented once."""

import httpx2
import requests

from connector import Connector, get_access_token

API = "http://127.0.0.1:8480/github"  # (4) "https://api.github.com"
ISSUES = f"{API}/repos/octocat/hello-world/issues"

# a token that is good for another minute at least, and nothing else
token = get_access_token("acme/github", min_ttl=60)
headers = {"Authorization": f"Bearer {token}"}
print("newest:", requests.get(ISSUES, headers=headers, timeout=30).json()[0]["number"])

# calls that take a token each time, and another one where the API rejects it
with Connector.open("config.toml") as connector:
    auth = connector.auth("acme/github")
    with httpx2.Client(auth=auth) as api:
        print("closed:", len(api.get(ISSUES, params={"state": "closed", "per_page": 100}).json()))
    oldest = requests.get(ISSUES, {"direction": "asc"}, auth=auth, timeout=30)
    print("oldest:", oldest.json()[0]["number"])
