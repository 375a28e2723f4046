"""The dashboard in this process, called as browsers call it."""
