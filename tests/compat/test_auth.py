"""hvac's login with a JWT, and the whole life of a token."""

import pytest
from asking import client_of
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, Unauthorized
from jwt_signer import Signer, encoded

ISSUER = "https://issuer.example.test"


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    return Signer(tmp_path_factory.mktemp("jwt"))


@pytest.fixture
def jwt(root, fresh, signer):
    """A login method of the test's own with one role, `worker`."""
    path = fresh("jwt")
    root.sys.enable_auth_method("jwt", path=path)
    root.auth.jwt.configure(jwt_validation_pubkeys=[signer.public_key], bound_issuer=ISSUER, jwt_supported_algs=["RS256"], path=path)
    root.auth.jwt.create_role(
        "worker", "sub", [], bound_audiences=["goldfin"], bound_subject="worker-1", token_policies=["service"], token_ttl=600, path=path
    )
    yield path
    root.sys.disable_auth_method(path)


def claims(**others):
    return {"iss": ISSUER, "sub": "worker-1", "aud": "goldfin"} | others


def test_login_with_a_jwt(server, jwt, signer):
    client = client_of(server)
    auth = client.auth.jwt.jwt_login("worker", signer.sign(claims()), path=jwt)["auth"]
    for member in ("client_token", "accessor", "policies", "token_policies", "metadata", "lease_duration", "renewable", "entity_id"):
        assert member in auth
    assert "service" in auth["policies"] and auth["lease_duration"] == 600
    assert client.token == auth["client_token"] and client.is_authenticated()
    looked = client.auth.token.lookup_self()["data"]
    assert looked["path"] == f"auth/{jwt}/login" and "service" in looked["policies"]


@pytest.mark.parametrize(
    "wrong",
    [{"aud": "another"}, {"iss": ISSUER + "/"}, {"sub": "worker-2"}, {"exp": 1}, {"nbf": 32503680000}, {"aud": []}],
    ids=["audience", "issuer", "subject", "expired", "not yet", "no audience"],
)
def test_a_jwt_that_is_not_right_is_refused(server, jwt, signer, wrong):
    with pytest.raises((InvalidRequest, Forbidden, Unauthorized)):
        client_of(server).auth.jwt.jwt_login("worker", signer.sign(claims(**wrong)), path=jwt)


def test_a_jwt_of_another_key_or_without_signature_is_refused(server, jwt, signer, tmp_path):
    head, body, signature = signer.sign(claims()).split(".")
    unsigned = encoded(b'{"alg":"none","typ":"JWT"}')
    for forged in (Signer(tmp_path).sign(claims()), f"{head}.{body}.", f"{unsigned}.{body}.", f"{unsigned}.{body}.{signature}", "not a jwt"):
        with pytest.raises((InvalidRequest, Forbidden, Unauthorized)):
            client_of(server).auth.jwt.jwt_login("worker", forged, path=jwt)


def test_roles_and_configuration_are_read_back(root, jwt):
    assert root.auth.jwt.read_config(path=jwt)["data"]["bound_issuer"] == ISSUER
    role = root.auth.jwt.read_role("worker", path=jwt)["data"]
    assert (role["user_claim"], role["bound_audiences"], role["token_policies"]) == ("sub", ["goldfin"], ["service"])
    assert root.auth.jwt.list_roles(path=jwt)["data"]["keys"] == ["worker"]
    assert root.auth.jwt.delete_role("worker", path=jwt).status_code == 204
    with pytest.raises(InvalidPath):
        root.auth.jwt.read_role("worker", path=jwt)


def test_a_role_that_binds_nothing_is_refused(root, jwt):
    with pytest.raises(InvalidRequest):
        root.auth.jwt.create_role("open", "sub", [], token_policies=["service"], path=jwt)


def test_a_token_is_made_looked_up_renewed_and_revoked(server, root):
    made = root.auth.token.create(policies=["service"], ttl="1h", display_name="synthetic", meta={"team": "tests"})["auth"]
    assert "service" in made["policies"] and made["renewable"] and made["lease_duration"] == 3600
    client = client_of(server, made["client_token"])
    mine = client.auth.token.lookup_self()["data"]
    for member in ("id", "accessor", "creation_time", "creation_ttl", "display_name", "entity_id", "expire_time", "explicit_max_ttl"):
        assert member in mine
    for member in ("issue_time", "meta", "num_uses", "orphan", "path", "policies", "renewable", "ttl", "type"):
        assert member in mine
    assert mine["id"] == made["client_token"] and mine["accessor"] == made["accessor"] and mine["meta"] == {"team": "tests"}
    assert isinstance(mine["ttl"], int) and 3500 < mine["ttl"] <= 3600 and mine["expire_time"]
    assert root.auth.token.lookup(made["client_token"])["data"]["accessor"] == made["accessor"]
    by_accessor = root.auth.token.lookup_accessor(made["accessor"])["data"]
    assert by_accessor["accessor"] == made["accessor"] and made["client_token"] not in str(by_accessor)
    assert made["accessor"] in root.auth.token.list_accessors()["data"]["keys"]
    assert client.auth.token.renew_self(increment="2h")["auth"]["lease_duration"] == 7200
    assert root.auth.token.renew(made["client_token"], increment="30m")["auth"]["lease_duration"] == 1800
    assert root.auth.token.renew_accessor(made["accessor"])["auth"]["accessor"] == made["accessor"]
    root.auth.token.revoke(made["client_token"])
    assert not client.is_authenticated()
    with pytest.raises(Forbidden):
        client.auth.token.lookup_self()


def test_a_token_revokes_itself(server, root):
    client = client_of(server, root.auth.token.create(policies=["service"])["auth"]["client_token"])
    assert client.auth.token.revoke_self().status_code == 204
    assert not client.is_authenticated()


def test_revoking_takes_the_children_along_and_leaves_orphans(server, root, group, holder):
    maker = group('permit (principal in GROUP, action == Action::"create_auth_token", resource);')
    parent = holder(maker)
    child = client_of(server, parent.auth.token.create(policies=[maker])["auth"]["client_token"])
    grandchild = client_of(server, child.auth.token.create(policies=[maker])["auth"]["client_token"])
    orphan = client_of(server, parent.auth.token.create_orphan(policies=[maker])["auth"]["client_token"])
    accessor = parent.auth.token.lookup_self()["data"]["accessor"]
    assert root.auth.token.revoke_accessor(accessor).status_code == 204
    assert [client.is_authenticated() for client in (parent, child, grandchild, orphan)] == [False, False, False, True]
    orphan.auth.token.revoke_self()


def test_nobody_hands_on_what_is_not_theirs(group, holder):
    maker = group('permit (principal in GROUP, action == Action::"create_auth_token", resource);')
    client = holder(maker)
    for groups in (["operator"], ["root"], ["ROOT"], [" root"], [maker, "auditor"]):
        with pytest.raises((Forbidden, InvalidRequest)):
            client.auth.token.create(policies=groups)


def test_a_token_does_not_outlive_its_maximum(root):
    made = root.auth.token.create(policies=["service"], ttl="1m", explicit_max_ttl="2m")["auth"]
    renewed = root.auth.token.renew(made["client_token"], increment="10h")["auth"]
    assert renewed["lease_duration"] <= 120
    root.auth.token.revoke(made["client_token"])


def test_token_roles(root, fresh):
    name = fresh("role")
    root.auth.token.create_or_update_role(name, allowed_policies=["service"], orphan=True, renewable=False)
    assert name in root.auth.token.list_roles()["data"]["keys"]
    assert root.auth.token.read_role(name)["data"]["allowed_policies"] == ["service"]
    made = root.auth.token.create(policies=["service"], role_name=name)["auth"]
    assert made["orphan"] and not made["renewable"]
    with pytest.raises((InvalidRequest, Forbidden)):
        root.auth.token.create(policies=["operator"], role_name=name)
    root.auth.token.revoke(made["client_token"])
    root.auth.token.delete_role(name)
    with pytest.raises(InvalidPath):
        root.auth.token.read_role(name)
