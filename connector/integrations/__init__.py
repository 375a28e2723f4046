"""How our auth works with clients that are not httpx: one module each, which imports no client.

What a client gives us is described by what we use of it, so that none of them is a dependency.
"""
