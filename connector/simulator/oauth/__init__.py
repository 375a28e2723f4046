"""The authorization server of the RFCs, under /oauth."""
