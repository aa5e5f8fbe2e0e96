"""hvac's seal and unseal, share by share, on a goldfin of the test's own."""

import pytest
from asking import client_of, curl
from hvac.exceptions import InvalidRequest, VaultDown


def test_a_sealed_goldfin_answers_little_and_opens_share_by_share(own_server):
    server = own_server()
    root, stranger = client_of(server, server.root_token), client_of(server)
    root.secrets.kv.v2.create_or_update_secret("before", {"synthetic": "value"})
    assert root.sys.seal().status_code == 204
    assert stranger.sys.is_sealed()
    assert stranger.sys.read_health_status(method="HEAD").status_code == 503
    for path in ("secret/data/before", "sys/mounts", "auth/token/lookup-self", "sys/ledger/entries", "no/such/path"):
        answer = curl(server, f"/v1/{path}")
        assert answer.status == 503 and "synthetic" not in answer.body.decode()
    with pytest.raises(VaultDown):
        root.secrets.kv.v2.read_secret("before", raise_on_deleted_version=True)

    keys = server.keys["keys"]
    assert len(keys) == 5
    for given, share in enumerate(keys[:2], start=1):
        status = stranger.sys.submit_unseal_key(share)
        assert (status["sealed"], status["progress"], status["t"], status["n"]) == (True, given, 3, 5)
    assert stranger.sys.submit_unseal_key(reset=True)["progress"] == 0
    for share in keys[1:4]:
        status = stranger.sys.submit_unseal_key(share)
    assert status["sealed"] is False and status["progress"] == 0
    assert root.secrets.kv.v2.read_secret("before", raise_on_deleted_version=True)["data"]["data"] == {"synthetic": "value"}

    unseals = server.psql("SELECT decision FROM audit WHERE action = 'unseal' ORDER BY stream, seq")
    assert len(unseals) >= 6, "what was tried while sealed is recorded afterwards"


def test_base64_shares_do_too_and_wrong_ones_do_not(own_server):
    server = own_server()
    stranger = client_of(server)
    client_of(server, server.root_token).sys.seal()
    keys = server.keys["keys_base64"]
    for nonsense in ("not a share", "00" * 33, ""):
        with pytest.raises(InvalidRequest):
            stranger.sys.submit_unseal_key(nonsense)
    with pytest.raises(InvalidRequest):
        for share in (keys[0], keys[1], keys[0]):
            stranger.sys.submit_unseal_key(share)
            assert stranger.sys.is_sealed()
        raise InvalidRequest("the same share twice does not count twice")
    assert stranger.sys.is_sealed()
    stranger.sys.submit_unseal_key(reset=True)
    assert stranger.sys.submit_unseal_keys(keys[:3])["sealed"] is False


def test_the_command_line_unseals_from_the_keys_file(own_server):
    server = own_server()
    assert server.cli("seal").returncode == 0
    assert server.cli("status").returncode == 2
    opened = server.cli("unseal", "--keys-file", server.environment["GOLDFIN_UNSEAL_KEYS_FILE"])
    assert opened.returncode == 0, opened.stderr
    assert server.cli("status").returncode == 0
