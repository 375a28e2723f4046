"""Hides the secrets that a run was given in whatever it tells."""


class Mask:
    """Replaces secrets in text."""

    def __init__(self) -> None:
        self._secrets: dict[str, str] = {}

    def hide(self, secret: str, stand_in: str) -> None:
        """Hide a secret from now on.

        Args:
            secret: that is not to be seen; an empty one is none.
            stand_in: what is shown in its place.
        """
        if secret:
            self._secrets[secret] = stand_in

    def text(self, text: str) -> str:
        """Give a text without the secrets."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, self._secrets[secret])
        return text

    def value(self, value: object) -> object:
        """Give a value of a message without the secrets, however deep they are."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(one) for one in value]
        if isinstance(value, dict):
            return {name: self.value(one) for name, one in value.items()}
        return value
