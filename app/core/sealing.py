"""Sealing short secrets under SECRET_KEY: AES-256-GCM, bound to what they belong to.

What is sealed can be kept in a row: without the key it says nothing, and in another row it does
not open.
"""

import hashlib
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_PURPOSE = b"headway sealed secrets, 1"  # a key of its own, out of the one that people configure


def seal(key: bytes, secret: str, belongs_to: str) -> bytes:
    """Seal a secret; two sealings of one secret differ."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(_derived(key)).encrypt(nonce, secret.encode(), belongs_to.encode())


def unseal(key: bytes, sealed: bytes, belongs_to: str) -> str | None:
    """The secret, or None where it was sealed under another key, for something else, or altered."""
    nonce, body = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return AESGCM(_derived(key)).decrypt(nonce, body, belongs_to.encode()).decode()
    except (InvalidTag, ValueError):
        return None


def _derived(key: bytes) -> bytes:
    return hmac.new(key, _PURPOSE, hashlib.sha256).digest()
