"""JWTs of the tests' own, signed by openssl with keys that are made for one test."""

import base64
import json
import pathlib
import subprocess
import time


class Signer:
    """An RSA key, and what it signs."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.key = folder / "synthetic-jwt.key"
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(self.key))
        self.public_key = openssl("pkey", "-in", str(self.key), "-pubout").decode()

    def sign(self, claims: dict, header: dict | None = None) -> str:
        now = int(time.time())
        times = {"iat": now, "nbf": now - 5, "exp": now + 300}
        head = {"alg": "RS256", "typ": "JWT"} | (header or {})
        signed = f"{encoded(json.dumps(head).encode())}.{encoded(json.dumps(times | claims).encode())}"
        return f"{signed}.{encoded(openssl('dgst', '-sha256', '-sign', str(self.key), stdin=signed.encode()))}"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
