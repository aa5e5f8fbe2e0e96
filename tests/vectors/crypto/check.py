#!/usr/bin/env python3
"""Runs the vectors of this folder in Python: a second reading of the formats, sharing no code with goldfin.

Needs the package `cryptography` (for AES). Exits 0 when every case agrees.

The numbers in the formats are big endian. `framed(x)` is the length of x in 8 bytes, then x.
"""

import hashlib
import hmac
import json
import pathlib
import sys
import zlib

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE = pathlib.Path(__file__).parent
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def cases(name):
    return json.loads((HERE / name).read_text())["cases"]


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def framed(part):
    return len(part).to_bytes(8, "big") + part


def number(value, width):
    return int(value).to_bytes(width, "big", signed=int(value) < 0)


def derive(key, label, context=()):
    pseudorandom = mac(bytes(32), key)
    return mac(pseudorandom, label.encode() + b"".join(map(framed, context)) + b"\x01")


def base62(data):
    """Groups of 8 bytes as 11 characters; a last group of 4 bytes as 6."""
    text = ""
    for at in range(0, len(data), 8):
        group = data[at : at + 8]
        value, digits = int.from_bytes(group, "big"), ""
        for _ in range({8: 11, 4: 6}[len(group)]):
            value, digit = divmod(value, 62)
            digits = ALPHABET[digit] + digits
        text += digits
    return text


def associated_data(case, algorithm):
    row = b""
    for part in case["row"]:
        if "text" in part:
            row += b"t" + framed(part["text"].encode())
        elif "number" in part:
            row += b"n" + framed(number(part["number"], 8))
        else:
            row += b"b" + framed(bytes.fromhex(part["bytes"]))
    parts = [
        b"\x01",
        number(case["namespace"], 4),
        case["table"].encode(),
        row,
        case["column"].encode(),
        number(case["version"], 8),
        number(case["key_id"], 4),
        number(case["key_version"], 4),
        bytes([algorithm]),
    ]
    return b"".join(map(framed, parts))


def open_envelope(case, key):
    """format 1 | algorithm 1 | key id 4 | key version 4 | nonce 12 | ciphertext | tag 16"""
    stored = bytes.fromhex(case["stored"])
    data = associated_data(case, stored[1])
    assert data.hex() == case["associated_data"]
    assert stored[0] == 1
    assert stored[2:10] == number(case["key_id"], 4) + number(case["key_version"], 4)
    return stored[1], AESGCM(key).decrypt(stored[10:22], stored[22:], data)


def envelopes():
    for case in cases("envelope.json"):
        key = bytes.fromhex(case["key"])
        if "token_secret" in case:
            state = derive(key, "goldfin/v1/token-message")
            key = mac(state, bytes.fromhex(case["token_secret"]) + b"\x01")
        algorithm, value = open_envelope(case, key)
        assert algorithm == 1 and value.hex() == case["plaintext"]
        assert hashlib.sha256(bytes.fromhex(case["stored"])).hexdigest() == case["digest"]


def wrapped_keys():
    for case in cases("wrapped_key.json"):
        algorithm, value = open_envelope(case, bytes.fromhex(case["key"]))
        key = bytes.fromhex(case["wrapped_key"])
        if "wrapped_key_id" in case:
            key = number(case["wrapped_key_id"], 4) + number(case["wrapped_key_version"], 4) + key
        assert algorithm == (2 if "wrapped_key_id" in case else 3) and value == key


def pii_tokens():
    for case in cases("pii_token.json"):
        secret, prefix = bytes.fromhex(case["token_secret"]), case["prefix"] + "_"
        aes = Cipher(algorithms.AES(bytes.fromhex(case["permutation_key"])), modes.ECB()).encryptor()
        payload = aes.update(number(case["id"], 8) + secret[:8]) + secret[8:]
        checksum = mac(bytes.fromhex(case["checksum_key"]), prefix.encode() + payload)[:4]
        assert prefix + base62(payload) + base62(checksum) == case["token"]


def convergent(case):
    """Secret, index and token of a value: what `docs/tokenization.md` says of convergent tokens."""
    key, value = bytes.fromhex(case["key"]), case["value"].encode()
    context = [number(case["transformation"], 4)]
    secret = mac(derive(key, "goldfin/v1/convergent-secret", context), framed(value))[:16]
    index = mac(derive(key, "goldfin/v1/blind-index", context), framed(value))[:16]
    prefix = case["prefix"] + "_"
    aes = Cipher(algorithms.AES(derive(key, "goldfin/v1/token-permutation")), modes.ECB()).encryptor()
    payload = aes.update(number(case["id"], 8) + secret[:8]) + secret[8:]
    checksum = mac(derive(key, "goldfin/v1/token-checksum"), prefix.encode() + payload)[:4]
    return secret.hex(), index.hex(), prefix + base62(payload) + base62(checksum)


def convergent_tokens():
    for case in cases("convergent.json"):
        assert convergent(case) == (case["token_secret"], case["index"], case["token"])


def auth_tokens():
    for case in cases("auth_token.json"):
        text = case["text"]
        assert len(text) == 43 and base62(zlib.crc32(text[:-6].encode()).to_bytes(4, "big")) == text[-6:]
        assert mac(bytes.fromhex(case["lookup_key"]), framed(text.encode())).hex() == case["fingerprint"]


def macs():
    for case in cases("mac.json"):
        key, parts = bytes.fromhex(case["key"]), [bytes.fromhex(part) for part in case["parts"]]
        assert mac(key, b"".join(map(framed, parts))).hex() == case["mac"]
        assert mac(key, b"".join(parts)).hex() == case["mac_raw"]


def labels():
    for case in cases("hkdf_labels.json"):
        context = [bytes.fromhex(part) for part in case["context"]]
        assert derive(bytes.fromhex(case["key"]), case["label"], context).hex() == case["derived"]


def shares():
    """Lagrange at 0 over GF(256), with logarithms to the base 3."""
    power, exp = 1, []
    for _ in range(255):
        exp.append(power)
        power ^= (power << 1) ^ (0x11B if power & 0x80 else 0)
    log = {value: at for at, value in enumerate(exp)}

    def times(a, b):
        return exp[(log[a] + log[b]) % 255] if a and b else 0

    def over(a, b):
        return exp[(log[a] - log[b]) % 255] if a else 0

    for case in cases("shamir.json"):
        chosen = [bytes.fromhex(share) for share in case["shares"]][-case["threshold"] :]
        key = bytearray(32)
        for share in chosen:
            weight = 1
            for other in chosen:
                if other[32] != share[32]:
                    weight = times(weight, over(other[32], other[32] ^ share[32]))
            for at in range(32):
                key[at] ^= times(share[at], weight)
        assert key.hex() == case["key"]


def ff1(key, radix, tweak, numerals):
    """FF1.Encrypt of SP 800-38G, algorithm 7, step by step."""

    def number_of(digits):
        value = 0
        for digit in digits:
            value = value * radix + digit
        return value

    def digits_of(value, count):
        digits = []
        for _ in range(count):
            value, digit = divmod(value, radix)
            digits.insert(0, digit)
        return digits

    n, t = len(numerals), len(tweak)
    u = n // 2
    v = n - u
    a, b = numerals[:u], numerals[u:]
    width = ((radix**v - 1).bit_length() + 7) // 8
    d = 4 * ((width + 3) // 4) + 4
    p = b"\x01\x02\x01" + number(radix, 3) + b"\x0a" + bytes([u % 256]) + number(n, 4) + number(t, 4)
    for i in range(10):
        q = tweak + bytes((-t - width - 1) % 16) + bytes([i]) + number_of(b).to_bytes(width, "big")
        r = bytes(16)
        for at in range(0, len(p + q), 16):
            block = bytes(x ^ y for x, y in zip(r, (p + q)[at : at + 16]))
            r = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)
        s = r
        for j in range(1, (d + 15) // 16):
            block = bytes(x ^ y for x, y in zip(r, j.to_bytes(16, "big")))
            s += Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)
        y = int.from_bytes(s[:d], "big")
        m = u if i % 2 == 0 else v
        a, b = b, digits_of((number_of(a) + y) % radix**m, m)
    return a + b


def format_preserving():
    allowed = [case for case in cases("wycheproof_ff1.json") if case["flag"] in ("NormalMessageSize", "EdgeCasePrf", "EdgeCaseState")]
    for case in cases("nist_ff1.json") + allowed:
        key, tweak = bytes.fromhex(case["key"]), bytes.fromhex(case["tweak"])
        assert ff1(key, case["radix"], tweak, case["plaintext"]) == case["ciphertext"]


def main():
    for check in (envelopes, wrapped_keys, pii_tokens, convergent_tokens, auth_tokens, macs, labels, shares, format_preserving):
        check()
        print(f"{check.__name__}: sound")


if __name__ == "__main__":
    sys.exit(main())
