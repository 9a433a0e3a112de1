"""The verified sender of a stage's emails.

By the SES API and not by CloudFormation: its type AWS::SES::EmailIdentity is missing in some regions and in
LocalStack, and two stages of an account may share one sender.
"""

from collections.abc import Iterator

import boto3

_RESERVED = ("example", "invalid", "localhost", "test", "example.com", "example.net", "example.org")  # RFC 2606


def verify(address: str) -> None:
    """Ask SES to verify an address, unless it or its domain is verified. On AWS, SES emails a link to it."""
    client = boto3.client("ses")
    # Not by is_verified: LocalStack reports every address as verified, but sends only from the identities it lists.
    known = client.list_identities()["Identities"]
    if not {*identities(address)}.intersection(known):
        client.verify_email_identity(EmailAddress=address)


def is_verified(address: str) -> bool:
    """Return whether SES lets the account send from an address: itself, its domain or a parent domain is verified.

    https://docs.aws.amazon.com/ses/latest/dg/verify-addresses-and-domains.html
    """
    attributes = boto3.client("ses").get_identity_verification_attributes(Identities=identities(address))
    return any(one["VerificationStatus"] == "Success" for one in attributes["VerificationAttributes"].values())


def is_reserved(address: str) -> bool:
    """Return whether an address is of a reserved domain, which receives no email (RFC 2606)."""
    domain = "." + address.rpartition("@")[2].lower()
    return domain.endswith(tuple(f".{name}" for name in _RESERVED))


def identities(address: str) -> list[str]:
    """Return the identities by which SES may let the account send from an address: itself and its domains."""
    return [address, *_domains(address)]


def _domains(address: str) -> Iterator[str]:
    labels = address.rpartition("@")[2].split(".")
    return (".".join(labels[start:]) for start in range(len(labels) - 1))
