"""The words of the OAuth RFCs: values, their checks, and two modules that send.

`wire` is the one place that sends, for `token_endpoint`, `revocation` and `discovery`; all else is
pure.
"""
