"""Third parties as data: one TOML file each, their schema, and the clients made of them.

An operator's `[providers.NAME]` table overrides any entry, key by key, so that a wrong fact is a
change of configuration and not a release.
"""
