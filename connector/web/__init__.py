"""What the daemon serves over HTTP, and the page at which a consent ends."""
