"""Turns plaintext into sealed bytes bound to their place, and back. No OAuth and no SQL here."""
