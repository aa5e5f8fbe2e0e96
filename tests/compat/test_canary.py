"""What is secret in a request is found nowhere but in the answers that are meant to hold it.

Distinct random canaries go into every place of a request that can hold one. Afterwards goldfin's own log, PostgreSQL's log (with every
statement and its parameters), its write-ahead log and data files, the rows of the ledger, and every body of an error are searched for
them, as they are and in the encodings in which they could hide.
"""

import base64
import functools
import json
import pathlib
import secrets

from asking import client_of, curl
from jwt_signer import Signer

PREFIX = "cnry"
MERGE = ["--request", "PATCH", "--header", "Content-Type: application/merge-patch+json"]


class Canaries:
    """Makes them, and remembers where each was put."""

    def __init__(self) -> None:
        self.places: dict[str, str] = {}

    def make(self, place: str) -> str:
        # Letters and digits only, so that no quoting changes what is looked for.
        canary = PREFIX + secrets.token_hex(12)
        self.places[canary] = place
        return canary

    def number(self, place: str) -> int:
        number = 10**17 + secrets.randbelow(9 * 10**17)
        self.places[str(number)] = place
        return number

    def found_in(self, data: bytes) -> list[str]:
        """Where the canaries in it had been put."""
        suspicious = any(form in data for form in forms(PREFIX))
        return [
            place
            for canary, place in self.places.items()
            if (suspicious or not canary.startswith(PREFIX)) and any(form in data for form in forms(canary))
        ]


@functools.cache
def forms(canary: str) -> list[bytes]:
    """As it is, in hexadecimal as PostgreSQL prints bytea, and in base64 at each of the three offsets."""
    raw = canary.encode()
    return [raw, raw.hex().encode(), *(in_base64(raw, offset) for offset in range(3))]


def in_base64(raw: bytes, offset: int) -> bytes:
    """The characters that depend on nothing around it: each holds six bits."""
    first, last = -(-8 * offset // 6), 8 * (offset + len(raw)) // 6
    return base64.b64encode(b"\0" * offset + raw)[first:last]


class Sender:
    """Sends requests, and keeps the answers that refuse."""

    def __init__(self, server, canaries: Canaries) -> None:
        self.server, self.canaries, self.refusals = server, canaries, []

    def __call__(self, what: str, path: str, *options: str, body=None, token: str | None = "root"):
        answer = curl(self.server, path, *options, body=body, token=token)
        headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.items()).encode()
        self.refusals.append((what, headers if answer.status < 400 else headers + answer.body))
        return answer


def secrets_of_applications(send: Sender) -> None:
    make = send.canaries.make
    path = "/v1/secret/data/app/db"
    body = {"data": {make("member of a secret"): make("value of a secret"), "deep": [{"a": [make("value deep in a secret")]}]}}
    assert send("write", path, body=body).status == 200
    assert send("write", path, body={"data": {"number": send.canaries.number("number in a secret")}}).status == 200
    send("patch", path, *MERGE, body={"data": {"patched": make("value of a patch")}})
    send("cas", path, body={"data": {"a": make("value of a refused write")}, "options": {"cas": 99}})
    send("metadata", "/v1/secret/metadata/app/db", body={"custom_metadata": {make("name of metadata"): make("value of metadata")}})
    send("bad metadata", "/v1/secret/metadata/app/db", body={"custom_metadata": make("metadata of the wrong type")})
    send("bad setting", "/v1/secret/metadata/app/db", body={"delete_version_after": make("duration")})
    send("bad config", "/v1/secret/config", body={"max_versions": make("number of the wrong type")})
    send("read", path)
    send("read metadata", "/v1/secret/metadata/app/db")
    send("delete", path, "--request", "DELETE", body={"data": make("body of a delete")})


def malformed_bodies(send: Sender) -> None:
    make = send.canaries.make
    path = "/v1/secret/data/malformed"
    send("cut", path, body='{"data": {"a": "' + make("body that is cut off"))
    send("no json", path, body=make("body that is no JSON"))
    send("list", path, body=[make("body that is a list")])
    send("text", path, body=json.dumps(make("body that is text")))
    send("wrong type", path, body={"data": make("text instead of an object")})
    send("wrong type deep", path, body={"data": {"a": "b"}, "options": {"cas": make("text instead of a number")}})
    send("wrong options", path, body={"data": {}, "options": make("text instead of options")})
    twice = make("member that is given twice")
    send("twice", path, body=f'{{"data": {{"{twice}": 1, "{twice}": 2}}}}')
    send("unknown", path, body={"data": {"a": "b"}, make("unknown member"): make("value of an unknown member")})
    send("not utf-8", path, body=make("body that is not UTF-8").encode() + b"\xff")
    send("content type", path, "--header", f"Content-Type: {make('content type')}", body={"data": {}})
    send("coding", path, "--header", f"Content-Encoding: {make('content coding')}", body={"data": {}})


def headers_and_queries(send: Sender) -> None:
    make = send.canaries.make
    path = "/v1/secret/data/headers"
    send("token", path, token=make("unknown token"))
    send("token with prefix", path, token=f"hvs.{make('unknown token with prefix')}")
    send("revoke", "/v1/auth/token/revoke", body={"token": make("token in a body")})
    send("lookup", "/v1/auth/token/lookup", body={"token": make("token to look up")})
    for scheme in ("Bearer", "Basic", "Negotiate", "Digest", ""):
        send(f"authorization {scheme}", path, "--header", f"Authorization: {scheme} {make(f'authorization {scheme}')}", token=None)
    encoded = base64.b64encode(make("Negotiate token").encode()).decode()
    send("negotiate", path, "--header", f"Authorization: Negotiate {encoded}", token=None)
    for name in ("Cookie", "X-Forwarded-For", "X-Real-IP", "Forwarded", "User-Agent", "Referer", "X-Vault-Namespace", "X-Unknown"):
        send(name, path, "--header", f"{name}: {make(f'header {name}')}")
    send("purpose", path, "--header", f"X-Goldfin-Purpose: {make('purpose nobody may write')}!")
    send("wrap", path, "--header", f"X-Vault-Wrap-TTL: {make('duration in a header')}")
    send("query", f"{path}?version={make('number in a query')}")
    send("query name", f"{path}?{make('name in a query')}={make('value in a query')}")
    send("verb", path, "--request", make("verb").upper())
    send.canaries.places.update({canary.upper(): place for canary, place in send.canaries.places.items() if place == "verb"})


def logins(send: Sender, signer: Signer) -> None:
    make = send.canaries.make
    assert send("method", "/v1/sys/auth/jwt", body={"type": "jwt"}).status == 204
    send("bad key", "/v1/auth/jwt/config", body={"jwt_validation_pubkeys": [make("public key that is none")]})
    assert send("config", "/v1/auth/jwt/config", body={"jwt_validation_pubkeys": [signer.public_key]}).status == 204
    role = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["goldfin"], "token_policies": ["service"]}
    assert send("role", "/v1/auth/jwt/role/worker", body=role).status == 204
    login = "/v1/auth/jwt/login"
    send("jwt", login, body={"role": "worker", "jwt": make("text instead of a JWT")}, token=None)
    claims = {"sub": "worker", "aud": make("audience"), "private": make("claim of a refused JWT")}
    send("claims", login, body={"role": "worker", "jwt": signer.sign(claims)}, token=None)
    head = {"kid": make("key id of a JWT"), "jku": f"https://{make('address in a JWT')}.example.test/"}
    send("header", login, body={"role": "worker", "jwt": signer.sign(claims, head)}, token=None)
    granted = signer.sign({"sub": "worker", "aud": "goldfin", "private": make("claim of a granted JWT")})
    send.canaries.places[granted.rsplit(".", 1)[1]] = "signature of a granted JWT"
    auth = send("granted", login, body={"role": "worker", "jwt": granted}, token=None)
    assert auth.status == 200, auth.body
    send.canaries.places[auth.json["auth"]["client_token"]] = "token that was given out"
    send("use", "/v1/secret/data/x", token=auth.json["auth"]["client_token"])
    send("share", "/v1/sys/unseal", body={"key": make("share that is none")}, token=None)


def personal_data(send: Sender) -> None:
    make = send.canaries.make
    assert send("mount", "/v1/sys/mounts/transform", body={"type": "transform"}).status == 204
    for name, mode in (("ssn", "default"), ("name", "exportable")):
        settings = {"allowed_roles": ["clerk"], "class": name, "purposes": ["claims"], "mapping_mode": mode}
        assert send("transformation", f"/v1/transform/transformations/tokenization/{name}", body=settings).status == 204
    assert send("role", "/v1/transform/role/clerk", body={"transformations": ["ssn", "name"]}).status == 204
    encode, decode = "/v1/transform/encode/clerk", "/v1/transform/decode/clerk"
    for name in ("ssn", "name"):
        value = {"value": make(f"{name} to encode"), "transformation": name, "subject": make(f"subject of {name}")}
        made = send("encode", encode, body=value | {"metadata": {make("name of metadata of a token"): make("metadata of a token")}})
        assert made.status == 200, made.body
        token = made.json["data"]["encoded_value"]
        send.canaries.places[token] = f"token of {name}"
        assert send("decode", decode, body={"value": token, "transformation": name, "purpose": "claims"}).status == 200
        send("metadata", "/v1/transform/metadata/clerk", body={"value": token, "transformation": name})
        send("tokenized", "/v1/transform/tokenized/clerk", body={"value": make(f"{name} to look for"), "transformation": name})
    batch = [{"value": make("value in a batch"), "transformation": "ssn", "reference": make("reference"), "subject": make("subject in a batch")} for _ in range(300)]
    assert send("batch", encode, body={"batch_input": batch}).status == 200
    send("batch with a bad one", encode, body={"batch_input": [*batch[:2], {"value": send.canaries.number("number as a value"), "transformation": "ssn"}]})
    send("bad number", encode, body={"value": send.canaries.number("number as the only value"), "transformation": "ssn"})
    send("bad transformation", encode, body={"value": make("value of an unknown transformation"), "transformation": "no-such-one"})
    send("bad token", decode, body={"value": make("text instead of a token"), "transformation": "ssn", "purpose": "claims"})
    send("bad purpose", decode, body={"value": token, "transformation": "ssn", "purpose": make("purpose that is not allowed")})
    send("subject", f"/v1/transform/subjects/{make('subject in a path')}")
    send("disclosures", f"/v1/transform/subjects/{make('subject of disclosures')}/disclosures")
    send("erase", f"/v1/transform/subjects/{make('subject to erase')}", "--request", "DELETE")
    send("ledger", f"/v1/sys/ledger/entries?subject={make('subject in a query')}")


def test_no_canary_is_found(own_server, tmp_path):
    server = own_server("--log-statements")
    canaries = Canaries()
    send = Sender(server, canaries)
    canaries.places[server.root_token] = "root token"
    canaries.places |= {share: "share of the unseal key" for share in server.keys["keys"] + server.keys["keys_base64"]}
    secrets_of_applications(send)
    malformed_bodies(send)
    headers_and_queries(send)
    personal_data(send)
    logins(send, Signer(tmp_path))
    created = client_of(server, server.root_token).auth.token.create(policies=["service"])["auth"]["client_token"]
    canaries.places[created] = "token that was created"
    server.psql("CHECKPOINT")

    leaks = [f"{place}: answer to `{what}`" for what, said in send.refusals for place in canaries.found_in(said)]
    leaks += [f"{place}: goldfin's log" for place in canaries.found_in(server.log.read_bytes())]
    statements = (server.postgresql / "postgresql.log").read_bytes()
    assert b"ledger_append" in statements, "the statements are logged, or the search would prove nothing"
    for file in (server.postgresql / "postgresql.log", *files_below(server.postgresql / "cluster")):
        leaks += [f"{place}: {file.relative_to(server.postgresql)}" for place in canaries.found_in(file.read_bytes())]
    rows = server.psql("SELECT ledger_entry::text FROM ledger_entry")
    assert len(rows) > 60
    leaks += [f"{place}: ledger entry {row[0][:60]}" for row in rows for place in canaries.found_in(row[0].encode())]
    assert not leaks, "\n".join(sorted(set(leaks)))
    assert len(canaries.places) > 900


def test_the_search_finds_what_is_hidden():
    canaries = Canaries()
    canary = canaries.make("somewhere")
    for data in (canary.encode(), canary.encode().hex().encode(), *(base64.b64encode(b"x" * n + canary.encode() + b"y" * n) for n in range(4))):
        assert canaries.found_in(b"before " + data + b" behind") == ["somewhere"]
    assert canaries.found_in(b"nothing of it") == []


def files_below(folder: pathlib.Path) -> list[pathlib.Path]:
    """Every file of the database: tables, indexes, the write-ahead log."""
    return [file for file in folder.rglob("*") if file.is_file() and file.stat().st_size]
