"""The ways in which a person ends tokens, by name: the provider and its client offer the same."""

from abc import ABC, abstractmethod

from connector.simulator.facebook.tokens import Death


class Ending(ABC):
    """Whoever can end a person's tokens can end them for each of these reasons."""

    @abstractmethod
    def end_tokens(self, person: str, death: Death, *, after: int = 0) -> int:
        """End a person's tokens, now or when `after` more calls were made; returns how many.

        `expired` is 190/463, `password_changed` 460, `logged_out` 467, `app_removed` 458,
        `checkpointed` 459, `unconfirmed` 464, `invalid` 190 alone, and `session_ended` 102. What
        is to come later replaces what was to come before.

        Raises:
            UnknownPersonError: no such person.
        """

    def expire_tokens(self, person: str, *, after: int = 0) -> int:
        """End a person's tokens as if their time were over (190/463); returns how many."""
        return self.end_tokens(person, "expired", after=after)

    def change_password(self, person: str) -> int:
        """End a person's tokens by a new password (190/460); returns how many."""
        return self.end_tokens(person, "password_changed")

    def log_out(self, person: str) -> int:
        """End a person's tokens by logging out (190/467); returns how many."""
        return self.end_tokens(person, "logged_out")

    def remove_app(self, person: str) -> int:
        """Take the app out of a person's account (190/458); returns how many tokens died."""
        return self.end_tokens(person, "app_removed")
