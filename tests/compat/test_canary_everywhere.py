"""Every endpoint is sent every delicate member in every type, and nothing of it is found in a log, an entry or an error.

Which members are delicate stands in one table of the server, `src/model/member_class.rs`; this test reads that table, so that a member
which is given a class there is sent everywhere from then on.
"""

import json
import re
import secrets

from asking import curl
from goldfin_server import REPOSITORY
from jwt_signer import Signer
from test_canary import MERGE, PREFIX, Canaries, Sender, files_below, forms

DELICATE = ("Personal", "Secret", "Credential", "Prose")

KV = [
    ("POST", "secret/data/spray"),
    ("PATCH", "secret/data/spray"),
    ("POST", "secret/metadata/spray"),
    ("PATCH", "secret/metadata/spray"),
    ("POST", "secret/delete/spray"),
    ("POST", "secret/undelete/spray"),
    ("POST", "secret/destroy/spray"),
    ("POST", "secret/config"),
    ("GET", "secret/data/spray"),
    ("GET", "secret/subkeys/spray"),
    ("LIST", "secret/metadata/"),
    ("DELETE", "secret/data/spray"),
    ("DELETE", "secret/metadata/spray"),
]
TRANSFORM = [
    ("POST", "transform/encode/clerk"),
    ("POST", "transform/decode/clerk"),
    ("POST", "transform/validate/clerk"),
    ("POST", "transform/metadata/clerk"),
    ("POST", "transform/tokenized/clerk"),
    ("POST", "transform/tokens/clerk"),
    ("DELETE", "transform/tokens/clerk"),
    ("DELETE", "transform/tokenized/clerk"),
    ("GET", "transform/role/clerk"),
    ("GET", "transform/transformations/tokenization/ssn"),
    ("LIST", "transform/role"),
    ("POST", "transform/tokenization/keys/ssn/rotate"),
    ("POST", "transform/tokenization/keys/ssn/config"),
    ("POST", "transform/tokenization/keys/ssn/trim"),
    ("POST", "transform/redact/clerk"),
    ("POST", "transform/restore/clerk"),
    ("POST", "transform/transformations/tokenization/snapshot/ssn"),
    ("POST", "transform/transformations/tokenization/restore/ssn"),
    ("POST", "transform/transformations/tokenization/export-decoded/ssn"),
    ("POST", "transform/transformations/fpe/sprayed"),
    ("POST", "transform/transformations/masking/sprayed"),
]
SYSTEM = [
    ("POST", "sys/mounts/sprayed"),
    ("GET", "sys/mounts"),
    ("POST", "sys/mounts/secret/tune"),
    ("POST", "sys/auth/sprayed"),
    ("POST", "sys/remount"),
    ("POST", "sys/policies/acl/sprayed"),
    ("POST", "sys/policy/sprayed"),
    ("POST", "sys/policies/load"),
    ("POST", "sys/policies/test"),
    ("POST", "sys/policies/explain"),
    ("POST", "sys/policies/who"),
    ("POST", "sys/policies/convert"),
    ("GET", "sys/policies/acl"),
    ("POST", "sys/accounts/sprayed"),
    ("GET", "sys/accounts/sprayed"),
    ("POST", "sys/quotas/disclosure/sprayed"),
    ("POST", "sys/quotas/rate-limit/sprayed"),
    ("GET", "sys/quotas/disclosure/sprayed"),
    ("LIST", "sys/quotas/rate-limit"),
    ("DELETE", "sys/quotas/rate-limit/sprayed"),
    ("POST", "sys/capabilities"),
    ("POST", "sys/capabilities-self"),
    ("POST", "sys/capabilities-accessor"),
    ("GET", "sys/internal/ui/mounts"),
    ("GET", "sys/internal/ui/mounts/secret"),
    ("GET", "sys/ledger/entries"),
    ("POST", "sys/ledger/search"),
    ("GET", "sys/ledger/export"),
    ("GET", "sys/ledger/summary"),
    ("GET", "sys/ledger/entries/1/1"),
    ("POST", "sys/ledger/verify"),
    ("GET", "sys/audit"),
    ("POST", "sys/audit/file"),
    ("POST", "sys/rotate"),
    ("GET", "sys/key-status"),
    ("GET", "sys/rotate/status"),
    ("POST", "sys/init"),
    ("POST", "sys/unseal"),
    ("GET", "sys/health"),
    ("GET", "sys/leader"),
    ("GET", "sys/no/such/path"),
]
AUTH = [
    ("POST", "auth/token/create"),
    ("POST", "auth/token/create-orphan"),
    ("POST", "auth/token/create/sprayed"),
    ("POST", "auth/token/roles/sprayed"),
    ("POST", "auth/token/lookup"),
    ("POST", "auth/token/lookup-accessor"),
    ("GET", "auth/token/lookup-self"),
    ("POST", "auth/token/renew"),
    ("POST", "auth/token/renew-self"),
    ("POST", "auth/token/renew-accessor"),
    ("POST", "auth/token/revoke"),
    ("POST", "auth/token/revoke-accessor"),
    ("POST", "auth/token/tidy"),
    ("LIST", "auth/token/accessors"),
    ("POST", "auth/jwt/config"),
    ("GET", "auth/jwt/config"),
    ("POST", "auth/jwt/role/sprayed"),
    ("POST", "auth/jwt/login"),
    ("POST", "auth/kerberos/config"),
    ("POST", "auth/kerberos/login"),
    ("POST", "no/such/mount"),
]


NUMBERS = "7190354"


class Sprayed(Canaries):
    """Thousands of them: all have one of two beginnings, and a place without these is not searched for each."""

    def number(self, place: str) -> int:
        number = int(NUMBERS + "".join(secrets.choice("0123456789") for _ in range(11)))
        self.places[str(number)] = place
        return number

    def found_in(self, data: bytes) -> list[str]:
        if not any(form in data for start in (PREFIX, NUMBERS) for form in forms(start)):
            return []
        plain = set(re.findall(rf"{PREFIX}[0-9a-f]{{24}}|{NUMBERS}[0-9]{{11}}".encode(), data))
        found = [self.places[canary.decode()] for canary in plain if canary.decode() in self.places]
        return found or super().found_in(data)


def delicate_members() -> list[str]:
    source = (REPOSITORY / "src" / "model" / "member_class.rs").read_text()
    table = re.search(r"\nmembers! \{\n(.*?)\n\}\n", source, re.DOTALL).group(1)
    return [name for kind, names in re.findall(r"(\w+): ([^;]*);", table) if kind in DELICATE for name in re.findall(r'"(\w+)"', names)]


def bodies(canaries: Canaries, members: list[str], method: str, path: str):
    """The same members as text, in lists, in objects, as numbers, and in a batch."""
    make = lambda kind: {name: canaries.make(f"`{name}` as {kind} to {path}") for name in members}
    yield make("text")
    if method in ("GET", "LIST"):
        return
    yield {name: [value] for name, value in make("list").items()}
    yield {name: {value: value} for name, value in make("object").items()}
    yield {name: canaries.number(f"`{name}` as a number to {path}") for name in members}
    yield {"batch_input": [make("text in a batch"), make("text in a batch")]}
    for name in ("value", "data", "token", "jwt", "policy", "description"):
        # Alone: together with others the first that is wrong is all that is looked at.
        yield {name: canaries.make(f"`{name}` alone to {path}"), "type": "kv", "transformation": "ssn", "role": "worker", "groups": ["a"]}


def options_of(method: str) -> list[str]:
    return MERGE if method == "PATCH" else ["--request", method]


def test_nothing_delicate_is_found_whatever_it_is_sent_to(own_server, tmp_path):
    server = own_server("--log-statements")
    members = delicate_members()
    assert {"value", "data", "token", "subject", "jwt", "description"} <= set(members)
    kept, plain = Sprayed(), Sprayed()
    setting_up = Sender(server, Canaries())
    assert setting_up("mount", "/v1/sys/mounts/transform", body={"type": "transform"}).status == 204
    settings = {"allowed_roles": ["clerk"], "class": "ssn"}
    assert setting_up("transformation", "/v1/transform/transformations/tokenization/ssn", body=settings).status == 204
    assert setting_up("role", "/v1/transform/role/clerk", body={"transformations": ["ssn"]}).status == 204
    assert setting_up("method", "/v1/sys/auth/jwt", body={"type": "jwt"}).status == 204
    assert setting_up("config", "/v1/auth/jwt/config", body={"jwt_validation_pubkeys": [Signer(tmp_path).public_key]}).status == 204
    setting_up("method", "/v1/sys/auth/kerberos", body={"type": "kerberos"})
    # What mounts and accounts are described with is stored as it is; what KV and transform hold never is.
    senders = [(Sender(server, kept), KV + TRANSFORM), (Sender(server, plain), SYSTEM + AUTH)]
    sent = 0
    for send, endpoints in senders:
        for method, path in endpoints:
            for body in bodies(send.canaries, members, method, path):
                send(f"{method} {path}", f"/v1/{path}", *options_of(method), body=body)
                sent += 1
            query = "&".join(f"{name}={send.canaries.make(f'`{name}` in the query of {path}')}" for name in members[:20])
            send(f"query of {path}", f"/v1/{path}?{query}", *options_of(method))
    assert curl(server, "/v1/auth/token/lookup-self").status == 200, "the server lives, and the token was not revoked"
    server.psql("CHECKPOINT")
    entries = "\n".join(row[0] for row in server.psql("SELECT ledger_entry::text FROM ledger_entry")).encode()
    assert entries.count(b"request_id") > sent * 9 // 10
    leaks = []
    for send, _ in senders:
        found_in = send.canaries.found_in
        # A batch echoes the `reference` of an item to whoever sent it, also where every item failed.
        answers = ((what, place) for what, said in send.refusals for place in found_in(said))
        leaks += [f"{place}: answer to `{what}`" for what, place in answers if not place.startswith("`reference` as text in a batch")]
        leaks += [f"{place}: goldfin's log" for place in found_in(server.log.read_bytes())]
        leaks += [f"{place}: ledger" for place in found_in(entries)]
    for file in (server.postgresql / "postgresql.log", *files_below(server.postgresql / "cluster")):
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            # PostgreSQL drops and remakes files of its caches while it runs.
            continue
        leaks += [f"{place}: {file.relative_to(server.postgresql)}" for place in kept.found_in(content)]
    assert not leaks, "\n".join(sorted(set(leaks))[:40])
    actions = {row[0] for row in server.psql("SELECT DISTINCT action FROM ledger_entry")}
    assert len(actions) > 30, json.dumps(sorted(actions))
