"""The keys in Valkey. All keys of a scope in an epoch are in one hash slot, so that a script can use them together."""


def scope_in_epoch(scope: str, epoch: int) -> str:
    """Return the scope as it is in the keys of an epoch."""
    return f"{scope}@{epoch}"


def entry(scope: str, name: str) -> str:
    """Return the key of an entry."""
    return f"{{{scope}}}:entry:{name}"


def generation(scope: str) -> str:
    """Return the key of a scope's current generation."""
    return f"{{{scope}}}:generation"


def lease(scope: str, name: str) -> str:
    """Return the key of the lease on which a reader loads an entry."""
    return f"{{{scope}}}:lease:{name}"


def writers(scope: str) -> str:
    """Return the key of the markers of the writers in progress."""
    return f"{{{scope}}}:writers"


def ended(scope: str, writer: str) -> str:
    """Return the key that records that a writer has ended."""
    return f"{{{scope}}}:ended:{writer}"
