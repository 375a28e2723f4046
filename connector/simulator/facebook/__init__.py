"""The Graph-like ads provider: the dialog under /facebook, the Graph API under /graph."""
