"""What curl sees: paths, verbs, headers, framing."""

import pytest
from asking import curl

TRICKS = [
    "/v1/secret/data/app/../../../sys/mounts",
    "/v1/secret/data/./x",
    "/v1/secret/data/%2e%2e/x",
    "/v1/secret/data/..%2fx",
    "/v1/secret/data/%252e%252e/x",
    "/v1/secret/data/a%00b",
    "/v1/secret/data/a%0d%0ab",
    "/v1/secret/data/a%5cb",
    "/v1/secret/data/a%3bb",
    "/v1/secret/data/a;b",
    "/v1/secret//data/x",
    "//v1/secret/data/x",
    "/v1//secret/data/x",
    "/v1/secret/data/a%e2%80%aeb",
    "/v1/secret/data/e%cc%81",
    "/v1/secret/data/%ff",
    "/v1/secret/data/%zz",
    "/v1/../v1/sys/mounts",
    "/V1/sys/mounts",
    "/v1/sys/mounts%2f",
]


@pytest.mark.parametrize("path", TRICKS)
def test_a_path_that_could_mean_two_things_is_refused(server, path):
    answer = curl(server, path)
    assert answer.status in (400, 404), answer.body
    assert list(answer.json) == ["errors"]
    assert answer.headers["cache-control"] == "no-store" and answer.request_id and answer.receipt


def test_what_is_plain_is_the_same_as_what_is_encoded(server):
    assert curl(server, "/v1/secret/data/plain", body={"data": {"a": "b"}}).status == 200
    assert curl(server, "/v1/secret/data/pl%61in").json["data"]["data"] == {"a": "b"}
    assert curl(server, "/v1/secret/data/with%20space%20and%20%C3%A9", body={"data": {"a": "c"}}).status == 200
    assert curl(server, "/v1/secret/data/with%20space%20and%20%C3%A9").json["data"]["data"] == {"a": "c"}


def test_list_in_all_its_forms(server):
    for name in ("one", "two"):
        assert curl(server, f"/v1/secret/data/listed/{name}", body={"data": {"a": "b"}}).status == 200
    forms = [
        curl(server, "/v1/secret/metadata/listed", "--request", "LIST"),
        curl(server, "/v1/secret/metadata/listed/", "--request", "LIST"),
        curl(server, "/v1/secret/metadata/listed?list=true"),
        curl(server, "/v1/secret/metadata/listed/?list=true"),
        curl(server, "/v1/secret/metadata/listed/"),
    ]
    assert [form.json["data"]["keys"] for form in forms] == [["one", "two"]] * 5
    empty = curl(server, "/v1/secret/metadata/empty", "--request", "LIST")
    assert empty.status == 404 and empty.json == {"errors": []}


def test_a_trailing_slash_is_refused_on_every_other_verb(server):
    assert curl(server, "/v1/secret/data/slash/", body={"data": {}}).status in (400, 404)
    assert curl(server, "/v1/secret/data/slash/", "--request", "DELETE").status in (400, 404)
    assert curl(server, "/v1/secret/data/slash").status == 404


def test_put_is_post(server):
    answer = curl(server, "/v1/secret/data/put", "--request", "PUT", body={"data": {"a": "b"}})
    assert answer.status == 200 and answer.json["data"]["version"] == 1
    patch = ["--request", "PATCH", "--header", "Content-Type: application/merge-patch+json"]
    assert curl(server, "/v1/secret/data/put", *patch, body={"data": {"c": "d"}}).json["data"]["version"] == 2
    assert curl(server, "/v1/secret/data/put").json["data"]["data"] == {"a": "b", "c": "d"}


def test_head_is_health_and_nothing_else(server):
    health = curl(server, "/v1/sys/health", "--head", token=None)
    assert health.status == 200 and health.body == b"" and health.request_id
    curl(server, "/v1/secret/data/head", body={"data": {"a": "b"}})
    secret = curl(server, "/v1/secret/data/head", "--head")
    assert secret.status in (404, 405) and secret.body == b"" and secret.receipt


@pytest.mark.parametrize("verb", ["OPTIONS", "TRACE", "PROPFIND", "get"])
def test_verbs_that_nobody_asked_for(server, verb):
    answer = curl(server, "/v1/secret/data/x", "--request", verb)
    assert answer.status in (400, 404, 405) and answer.request_id and answer.receipt
    assert "access-control-allow-origin" not in answer.headers


def test_a_header_does_not_change_the_verb(server):
    curl(server, "/v1/secret/data/override", body={"data": {"a": "b"}})
    for name in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
        assert curl(server, "/v1/secret/data/override", "--header", f"{name}: DELETE").json["data"]["data"] == {"a": "b"}


def test_health_under_other_statuses(server):
    assert curl(server, "/v1/sys/health?activecode=299", token=None).status == 299
    assert curl(server, "/v1/sys/health?activecode=9999", token=None).status == 400
    assert curl(server, "/v1/sys/health?standbyok=true", token=None).status == 200


ANSWERS = {
    "200": ("/v1/secret/config", [], None),
    "204": ("/v1/secret/config", [], {"max_versions": 0}),
    "400 body": ("/v1/secret/data/x", [], "{"),
    "400 duplicate": ("/v1/secret/data/x", [], '{"data":{},"data":{}}'),
    "404": ("/v1/secret/data/never-written", [], None),
    "404 mount": ("/v1/nowhere/at/all", [], None),
    "delete": ("/v1/secret/data/never-written", ["--request", "DELETE"], None),
}


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("token", ["root", None, "hvs.synthetic-unknown"], ids=["root", "stranger", "unknown"])
def test_every_answer_has_its_id_and_receipt_and_is_not_stored(server, kind, token):
    path, options, body = ANSWERS[kind]
    answer = curl(server, path, *options, token=token, body=body)
    assert len(answer.request_id) == 36
    stream, seq, leaf = answer.receipt.split(":")
    assert int(stream) > 0 and int(seq) > 0 and len(bytes.fromhex(leaf)) == 32
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in answer.headers and "access-control-allow-origin" not in answer.headers
    if answer.status == 204:
        assert answer.body == b""
    else:
        assert answer.headers["content-type"].startswith("application/json")
    if answer.status == 200:
        assert answer.json["request_id"] == answer.request_id
    if token != "root":
        assert answer.status in (401, 403)


def test_a_receipt_names_its_entry(server):
    answer = curl(server, "/v1/secret/config")
    shown = server.cli("--format", "json", "audit", "show", answer.receipt)
    assert shown.returncode == 0, shown.stderr
    assert answer.request_id in shown.stdout


def test_a_token_comes_as_bearer_too_and_never_twice_differently(server):
    bearer = ["--header", f"Authorization: Bearer {server.root_token}"]
    assert curl(server, "/v1/auth/token/lookup-self", *bearer, token=None).status == 200
    assert curl(server, "/v1/auth/token/lookup-self", *bearer).status == 200
    assert curl(server, "/v1/auth/token/lookup-self", *bearer, token="hvs.another").status in (400, 401, 403)
    assert curl(server, f"/v1/auth/token/lookup-self?token={server.root_token}", token=None).status in (400, 401, 403)


def test_bodies_that_are_too_deep_too_large_or_no_json(server):
    path = "/v1/secret/data/body"
    for body in ("[" * 100_000, '{"data":' * 65 + "1" + "}" * 65, b'{"data":{"a":"\xff"}}', '{"data":{"a":NaN}}', '{"data":{"a":"\\ud800"}}', '{"data":{}}x'):
        assert curl(server, path, body=body).status == 400
    large = '{"data":{"a":"' + "x" * (2 << 20) + '"}}'
    assert curl(server, path, body=large).status in (400, 413)
    gzip = ["--header", "Content-Encoding: gzip"]
    assert curl(server, path, *gzip, body={"data": {}}).status in (400, 415)
    assert curl(server, path).status == 404


def test_members_that_would_restrict_are_refused_and_unknown_ones_counted(server):
    made = curl(server, "/v1/auth/token/create", body={"policies": ["service"], "num_uses": 1})
    assert made.status == 400
    cased = curl(server, "/v1/auth/token/create", body={"Policies": ["service"]})
    assert cased.status == 400
    unknown = curl(server, "/v1/secret/data/unknown", body={"data": {"a": "b"}, "synthetic_unknown": 1})
    assert unknown.status == 200 and "1" in unknown.json["warnings"][0] and "synthetic_unknown" not in unknown.body.decode()
