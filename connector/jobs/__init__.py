"""Scheduled data pulls: when they are due, how they run, and where their records go.

A user's function runs in a child process of its own (`child`), which talks to the process that
holds the store over a pair of sockets (`channel`): it asks for a token per request, and never sees
a refresh token, a client secret or the vault. A function that blocks delays nothing else, and one
that hangs is killed at its deadline. The child imports no database library: keep it so.
"""
