"""The heart: gives access tokens, and is the only caller of a refresh.

    hit      memory has a token with enough life left: returned, no disk, no lock
    stale    inside the early-refresh margin: returned, and one refresh starts behind it
    expired  one flight per account in this process, then the lease in the store, then a re-read,
             and only then a request
    miss     pending or ended: `ConsentRequired`; no such account: `UnknownAccount`

The new refresh token is durable before the access token is handed to anybody. A failing refresh
never hides a token that still works, and nothing but the provider's own word ends a grant.
"""

from connector.token_source.source import TokenSource

__all__ = ["TokenSource"]
