"""How our auth works with clients that are not httpx: one module each.

What requests and aiohttp give us is described by what we use of it, and neither is imported: one
object is auth for both (ADR 12). Google's libraries and dlt's declarative source take only what
derives from a class of theirs; those modules import it, and nothing of ours imports them.
"""
