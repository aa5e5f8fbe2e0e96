"""One request, one entry; and the verifier agrees."""

import json
import random

from asking import client_of, curl

ROUNDS = 120


def requests(rng: random.Random):
    """A mixture of what is done, denied, malformed and lost: path, options, body, token."""
    number = rng.randrange(8)
    return rng.choice(
        [
            (f"/v1/secret/data/bijection/{number}", [], {"data": {"synthetic": str(number)}}, "root"),
            (f"/v1/secret/data/bijection/{number}", [], None, "root"),
            (f"/v1/secret/data/bijection/{number}", ["--request", "DELETE"], None, "root"),
            (f"/v1/secret/data/bijection/{number}", [], {"data": {}, "options": {"cas": 99}}, "root"),
            ("/v1/secret/metadata/bijection", ["--request", "LIST"], None, "root"),
            ("/v1/secret/data/x", [], '{"data":', "root"),
            ("/v1/secret/data/../x", [], None, "root"),
            ("/v1/no/such/mount", [], None, "root"),
            ("/v1/secret/data/x", ["--request", "BREW"], None, "root"),
            ("/v1/secret/data/x", [], None, None),
            ("/v1/secret/data/x", [], None, "hvs.synthetic-unknown"),
            ("/v1/auth/token/lookup-self", [], None, "root"),
            ("/v1/sys/mounts", [], None, "root"),
            ("/v1/sys/mounts", [], None, "limited"),
            ("/v1/secret/data/bijection/1", [], None, "limited"),
            ("/v1/auth/jwt-that-is-not-there/login", [], {"role": "a", "jwt": "b"}, None),
        ]
    )


def test_every_answer_has_exactly_one_entry_and_every_entry_an_answer(own_server):
    server = own_server()
    limited = client_of(server, server.root_token).auth.token.create(policies=["nothing"])["auth"]["client_token"]
    first = int(server.psql("SELECT max(seq) FROM ledger_entry")[0][0])
    rng, answers = random.Random(7), []
    for _ in range(ROUNDS):
        path, options, body, token = requests(rng)
        answers.append(curl(server, path, *options, body=body, token=limited if token == "limited" else token))
    rows = server.psql(f"SELECT request_id, stream, seq, status, decision, kind FROM audit WHERE seq > {first} ORDER BY stream, seq")
    entries = {row[0]: row for row in rows if row[5] == "request"}
    assert len(entries) == len([row for row in rows if row[5] == "request"]), "a request has one entry of the kind `request`"
    assert set(entries) == {answer.request_id for answer in answers}
    for answer in answers:
        _, stream, seq, status, decision, _ = entries[answer.request_id]
        assert (int(status), answer.receipt.rsplit(":", 1)[0]) == (answer.status, f"{stream}:{seq}")
        assert decision == ("granted" if answer.status < 400 else decision) and (answer.status < 400) == (decision == "granted")
    numbers = [int(row[2]) for row in rows]
    assert numbers == list(range(first + 1, first + 1 + len(numbers))), "no gap"
    verified = server.cli("audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_entries_are_exported_a_line_each(server):
    answer = curl(server, "/v1/secret/data/exported", body={"data": {"a": "b"}})
    listed = server.cli("audit", "list", "--ndjson", "--request-id", answer.request_id)
    assert listed.returncode == 0, listed.stderr
    (entry,) = [json.loads(line) for line in listed.stdout.splitlines()]
    for member in ("stream", "seq", "time", "request_id", "kind", "account", "method", "peer", "action", "resource", "decision", "policies"):
        assert member in entry, member
    for member in ("status", "latency_us", "mac", "leaf"):
        assert member in entry, member
    assert (entry["action"], entry["decision"], entry["kind"]) == ("write_secret", "granted", "request")
    assert entry["leaf"] == answer.receipt.split(":")[2]


def test_a_denial_says_why_to_the_operator_and_not_to_the_caller(server, holder, fresh):
    nobody = holder("group-that-no-policy-names")
    refused = curl(server, "/v1/secret/data/denied", token=nobody.token)
    assert (refused.status, refused.json) == (403, {"errors": ["permission denied"]})
    listed = server.cli("audit", "list", "--ndjson", "--request-id", refused.request_id)
    (entry,) = [json.loads(line) for line in listed.stdout.splitlines()]
    assert entry["decision"] == "denied" and entry["denied_because"]
