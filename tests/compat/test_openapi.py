"""The description of the API: valid, the same offline and from a server, and true: schemathesis reads it and finds nothing."""

import json
import pathlib
import subprocess
import sys

import pytest
from asking import curl
from goldfin_server import clean_environment
from openapi_spec_validator import validate

HERE = pathlib.Path(__file__).parent
SPECS = "/v1/sys/internal/specs/openapi"
METHODS = {"get", "head", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def mounted(own):
    """A server with a mount of every kind, and something in each that a path can lead to."""
    ask = lambda method, path, body: curl(own, f"/v1/{path}", "--request", method, body=body)
    for path, kind in (("mounts/transform", "transform"), ("auth/jwt", "jwt"), ("auth/kerberos", "kerberos")):
        assert ask("POST", f"sys/{path}", {"type": kind}).status == 204
    for path, body in (
        ("transform/transformations/tokenization/0", {"mapping_mode": "exportable", "allowed_roles": ["*"], "deletion_allowed": True}),
        ("transform/transformations/tokenization/1", {"convergent": True, "allowed_roles": ["*"], "deletion_allowed": True}),
        ("transform/role/0", {"transformations": ["0", "1"]}),
        ("auth/token/roles/0", {"allowed_policies": ["app"]}),
    ):
        assert ask("POST", path, body).status == 204
    assert ask("POST", "secret/data/0", {"data": {"synthetic": "value"}}).status == 200
    return own


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    from goldfin_server import Server

    running = Server(tmp_path_factory.mktemp("goldfin"))
    yield running
    running.stop()


def fuzz(server, folder, token, *options):
    """One run of the fuzzer, as somebody runs it who has nothing but the address."""
    document = folder / "openapi.json"
    document.write_bytes(curl(server, SPECS).body)
    credential = ["-H", f"X-Vault-Token: {token}"] if token else []
    program = pathlib.Path(sys.executable).parent / "schemathesis"
    command = [program, "--config-file", HERE / "schemathesis.toml", "run", document, "--url", f"{server.address}/v1", *credential]
    command += ["--tls-verify", server.ca, "--no-color", "--warnings", "off", "--workers", "1"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, cwd=folder, env=clean_environment())
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{server.log.read_text()[-4000:]}"
    return done.stdout


def test_it_is_valid(mounted):
    answer = curl(mounted, SPECS)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    document = answer.json
    validate(document)
    assert document["openapi"].startswith("3.1.")
    paths = document["paths"]
    for path in ("/secret/data/{path}", "/transform/encode/{role}", "/auth/jwt/login", "/auth/kerberos/login", "/auth/token/create", "/sys/ledger/entries"):
        assert path in paths, path
    for path, item in paths.items():
        for method in METHODS & item.keys():
            assert item[method]["summary"] and item[method]["operationId"] and "503" in item[method]["responses"], (method, path)


def test_it_follows_the_mounts(mounted):
    assert curl(mounted, "/v1/sys/mounts/team/kv", "--request", "POST", body={"type": "kv"}).status == 204
    assert "/team/kv/data/{path}" in curl(mounted, SPECS).json["paths"]
    assert curl(mounted, "/v1/sys/mounts/team/kv", "--request", "DELETE").status == 204
    assert "/team/kv/data/{path}" not in curl(mounted, SPECS).json["paths"]


def test_the_command_line_prints_it_without_a_server(mounted):
    printed = mounted.cli("openapi")
    assert printed.returncode == 0, printed.stderr
    offline = json.loads(printed.stdout)
    validate(offline)
    served = curl(mounted, SPECS).json
    assert offline["components"]["schemas"] == served["components"]["schemas"]
    assert set(offline["paths"]) <= set(served["paths"])
    shown = mounted.cli("read", "--format", "json", "sys/internal/specs/openapi")
    assert shown.returncode == 0, shown.stderr


def test_every_account_may_read_it_and_no_stranger(mounted):
    made = curl(mounted, "/v1/auth/token/create", body={"policies": ["nothing"]}, token="root").json
    assert curl(mounted, SPECS, token=made["auth"]["client_token"]).status == 200
    assert curl(mounted, SPECS, token=None).status == 403
    [entry] = curl(mounted, "/v1/sys/ledger/entries?action=read_api&limit=1").json["data"]["entries"]
    assert (entry["decision"], entry["path"]) == ("granted", "sys/internal/specs/openapi")


def test_a_verb_that_a_path_does_not_have_is_answered_with_those_that_it_has(mounted):
    for path, method, allow in (
        ("secret/config", "DELETE", "GET, POST, PUT"),
        ("sys/internal/specs/openapi", "POST", "GET"),
        ("transform/encode/0", "GET", "POST, PUT"),
        ("auth/token/accessors", "POST", "GET"),
        ("secret/metadata/", "POST", "GET"),
        ("sys/health", "DELETE", "GET, HEAD"),
        ("secret/data/0", "TRACE", "GET, POST, PUT, PATCH, DELETE"),
    ):
        answer = curl(mounted, f"/v1/{path}", "--request", method)
        assert (answer.status, answer.headers["allow"]) == (405, allow), path


def test_the_fuzzer_finds_nothing_as_root(mounted, tmp_path):
    # PUT is POST by another name.
    fuzz(mounted, tmp_path, mounted.root_token, "--phases", "examples,coverage,fuzzing", "--max-examples", "1", "--exclude-method", "PUT")


def test_the_fuzzer_finds_nothing_as_a_stranger(mounted, tmp_path):
    # Most is a 403, whatever else is wrong with it. The statuses of health are what the request asks for.
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance"
    options = ["--max-examples", "1", "--exclude-method", "PUT", "--exclude-path", "/sys/health", "--checks", checks]
    fuzz(mounted, tmp_path, None, "--phases", "examples,fuzzing", *options)
