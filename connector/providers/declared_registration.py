"""Our client registration as a configuration declares it: secrets are read when needed."""

from dataclasses import dataclass
from typing import Final, cast

from connector.errors import ConfigurationError, Problem
from connector.oauth.authorization_server import AuthorizationServer
from connector.oauth.registration import AUTH_METHODS, AuthMethod, ClientRegistration
from connector.secret import SecretReference
from connector.toml_section import Section

#: RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2; asymmetric ones only.
SIGNING_ALGORITHMS: Final = ("ES256", "PS256", "RS256", "EdDSA", "Ed25519")
_NEEDS_SECRET: Final = ("client_secret_basic", "client_secret_post", "client_secret_jwt")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredRegistration:
    """A client registration whose secrets have not been read yet.

    Attributes:
        client_id: the identifier; empty in the catalogue.
        auth_method: as declared; None: by what the server supports and what we have.
        client_secret: where the secret is kept.
        private_key: where the PEM key for ``private_key_jwt`` is kept.
        signing_algorithm: of assertions.
    """

    client_id: str
    auth_method: AuthMethod | None
    client_secret: SecretReference | None
    private_key: SecretReference | None
    signing_algorithm: str

    @property
    def is_in_keyring(self) -> bool:
        """Whether a secret is asked of a keyring, which may take its time."""
        references = (self.client_secret, self.private_key)
        return any(one is not None and one.kind == "keyring" for one in references)

    def resolve(self, server: AuthorizationServer) -> ClientRegistration:
        """Read the secrets and settle on one method of authentication.

        Raises:
            ConfigurationError: a secret is not there, or a key does not fit.
        """
        registration = ClientRegistration(
            client_id=self.client_id,
            auth_method=self.auth_method or self._choose(server),
            client_secret=self.client_secret.resolve() if self.client_secret else None,
            private_key=self.private_key.resolve() if self.private_key else None,
            signing_algorithm=self.signing_algorithm,
        )
        reference = self.private_key or self.client_secret
        try:
            registration.check(server)
        except ValueError as error:
            source, key = (reference.source, reference.key) if reference else ("", "")
            remedy = "make one that fits, or set token_endpoint_auth_signing_alg"
            raise ConfigurationError([Problem(source, key, str(error), remedy)]) from None
        return registration

    def _choose(self, server: AuthorizationServer) -> AuthMethod:
        """Choose by metadata, never by trial; Basic is the default of RFC 8414 §2 and RFC 7591."""
        if self.private_key is not None:
            return "private_key_jwt"
        if self.client_secret is None:
            return "none"
        supported = server.token_endpoint_auth_methods_supported
        if supported and "client_secret_basic" not in supported:
            for method in _NEEDS_SECRET:
                if method in supported:
                    return cast("AuthMethod", method)
        return "client_secret_basic"


def read_registration(
    section: Section, *, allow_plaintext: bool, is_required: bool
) -> DeclaredRegistration:
    """Read the registration's keys of a provider's table.

    Args:
        section: the table.
        allow_plaintext: a literal secret is accepted.
        is_required: ``client_id`` must be there; the catalogue has none.
    """
    declared = section.optional_text("token_endpoint_auth_method")
    if declared == "tls_client_auth":
        section.problem(
            "token_endpoint_auth_method",
            "tls_client_auth is not available in this version",
            "use private_key_jwt or client_secret_basic",
        )
        declared = None
    elif declared is not None:
        declared = section.choice("token_endpoint_auth_method", AUTH_METHODS, "none")
    if section.boolean("dpop", default=False):
        section.problem("dpop", "DPoP is not available in this version", "remove it")
    registration = DeclaredRegistration(
        client_id=section.text("client_id", is_required=is_required),
        auth_method=cast("AuthMethod | None", declared),
        client_secret=section.secret("client_secret", allow_plaintext=allow_plaintext),
        private_key=section.secret("private_key", allow_plaintext=allow_plaintext),
        signing_algorithm=section.choice(
            "token_endpoint_auth_signing_alg", SIGNING_ALGORITHMS, "ES256"
        ),
    )
    if is_required and declared in _NEEDS_SECRET and "client_secret" not in section:
        section.problem("client_secret", "is missing", 'add client_secret = "env:NAME"')
    if declared == "private_key_jwt" and "private_key" not in section:
        section.problem("private_key", "is missing", 'add private_key = "file:client.pem"')
    return registration
