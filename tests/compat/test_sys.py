"""hvac's `sys`: health, mounts, login methods, policies, capabilities, and how errors are mapped."""

import hvac
import pytest
from asking import client_of
from goldfin_server import REPOSITORY
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest

PERMIT = 'permit (principal in Group::"NAME", action == Action::"read_secret", resource in Folder::"secret/app");'


def test_health_and_seal_status(root, stranger):
    for client in (root, stranger):
        health = client.sys.read_health_status(method="GET")
        for member in ("initialized", "sealed", "standby", "performance_standby", "server_time_utc", "version", "cluster_name", "cluster_id"):
            assert member in health
        assert (health["initialized"], health["sealed"], health["standby"]) == (True, False, False)
        assert client.sys.read_health_status(method="HEAD").status_code == 200
        assert client.sys.is_initialized() and not client.sys.is_sealed()
        status = client.sys.read_seal_status()
        assert (status["sealed"], status["n"], status["t"], status["progress"]) == (False, 5, 3, 0)
        assert client.sys.read_leader_status()["is_self"] is True
        assert client.sys.read_init_status() == {"initialized": True}


def test_init_happens_once(stranger):
    with pytest.raises(InvalidRequest):
        stranger.sys.initialize(3, 2)


def test_who_is_authenticated(server, root, stranger):
    assert root.is_authenticated()
    assert not stranger.is_authenticated()
    assert not client_of(server, "hvs.synthetic-token-that-nobody-made").is_authenticated()
    assert not client_of(server, root.lookup_token()["data"]["accessor"]).is_authenticated()


def test_mounts_are_enabled_tuned_and_disabled(root, fresh):
    path = fresh("engine")
    made = root.sys.enable_secrets_engine(
        "kv", path=path, description="synthetic", config={"default_lease_ttl": "1h", "max_lease_ttl": "2h"}, options={"version": 2}
    )
    assert made.status_code == 204
    mounts = root.sys.list_mounted_secrets_engines()
    assert mounts[f"{path}/"] == mounts["data"][f"{path}/"]
    mount = mounts["data"][f"{path}/"]
    assert (mount["type"], mount["description"], mount["options"]["version"]) == ("kv", "synthetic", "2")
    assert mount["accessor"] and mount["uuid"]
    assert (mount["config"]["default_lease_ttl"], mount["config"]["max_lease_ttl"]) == (3600, 7200)
    assert root.sys.retrieve_mount_option(path, "version") == "2"
    assert root.sys.tune_mount_configuration(path, description="changed", max_lease_ttl="3h").status_code == 204
    assert root.sys.read_mount_configuration(path)["data"]["max_lease_ttl"] == 10800
    with pytest.raises(InvalidRequest):
        root.sys.enable_secrets_engine("kv", path=path)
    assert root.sys.disable_secrets_engine(path).status_code == 204
    assert f"{path}/" not in root.sys.list_mounted_secrets_engines()["data"]


def test_rate_limit_quotas_are_written_read_listed_and_deleted(root, fresh):
    name = fresh("quota")
    assert root.sys.create_or_update_quota(name, rate=1000.5, path="transform/", interval="2s", block_interval="0s").status_code == 204
    quota = root.sys.read_quota(name)["data"]
    assert (quota["name"], quota["type"], quota["rate"], quota["interval"], quota["block_interval"]) == (name, "rate-limit", 1000.5, 2, 0)
    assert (quota["path"], quota["role"], quota["inheritable"]) == ("transform", "", False)
    assert name in root.sys.list_quotas()["data"]["keys"]
    assert root.sys.create_or_update_quota(name, rate=2000).status_code == 204
    assert (root.sys.read_quota(name)["data"]["rate"], root.sys.read_quota(name)["data"]["path"]) == (2000, "transform")
    with pytest.raises(InvalidRequest, match="`role` would restrict"):
        root.sys.create_or_update_quota(name, rate=1, role="somebody")
    assert root.sys.delete_quota(name).status_code == 204
    with pytest.raises(InvalidPath):
        root.sys.read_quota(name)


def test_a_mount_is_gone_with_everything_in_it(root, fresh):
    path = fresh("engine")
    root.sys.enable_secrets_engine("kv", path=path, options={"version": "2"})
    root.secrets.kv.v2.create_or_update_secret("a", {"b": "c"}, mount_point=path)
    root.sys.disable_secrets_engine(path)
    root.sys.enable_secrets_engine("kv", path=path, options={"version": "2"})
    with pytest.raises(InvalidPath):
        root.secrets.kv.v2.read_secret("a", mount_point=path, raise_on_deleted_version=True)
    root.sys.disable_secrets_engine(path)


def test_an_unknown_kind_is_refused(root, fresh):
    with pytest.raises(InvalidRequest):
        root.sys.enable_secrets_engine("no-such-kind", path=fresh("engine"))
    with pytest.raises(InvalidRequest):
        root.sys.enable_auth_method("no-such-kind", path=fresh("method"))


def test_login_methods_are_enabled_tuned_and_disabled(root, fresh):
    path = fresh("method")
    assert root.sys.enable_auth_method("jwt", description="synthetic", path=path).status_code == 204
    methods = root.sys.list_auth_methods()
    assert methods[f"{path}/"] == methods["data"][f"{path}/"]
    assert (methods["data"][f"{path}/"]["type"], methods["data"][f"{path}/"]["description"]) == ("jwt", "synthetic")
    assert methods["data"]["token/"]["type"] == "token"
    assert root.sys.tune_auth_method(path, default_lease_ttl="10m", max_lease_ttl="20m").status_code == 204
    tuned = root.sys.read_auth_method_tuning(path)["data"]
    assert (tuned["default_lease_ttl"], tuned["max_lease_ttl"]) == (600, 1200)
    assert root.sys.disable_auth_method(path).status_code == 204
    assert f"{path}/" not in root.sys.list_auth_methods()["data"]


def test_policies_are_cedar(root, fresh):
    name = fresh("policy")
    text = PERMIT.replace("NAME", name)
    assert root.sys.create_or_update_policy(name, text).status_code == 204
    assert root.sys.read_policy(name)["data"]["rules"] == text
    assert root.sys.read_policy(name)["data"]["name"] == name
    assert name in root.sys.list_policies()["data"]["policies"]
    assert root.sys.create_or_update_acl_policy(name, text + "\n").status_code == 204
    assert root.sys.read_acl_policy(name)["data"]["policy"] == text + "\n"
    assert name in root.sys.list_acl_policies()["data"]["keys"]
    assert root.sys.delete_policy(name).status_code == 204
    with pytest.raises(InvalidPath):
        root.sys.read_policy(name)


def test_a_policy_that_is_no_good_changes_nothing_and_says_where(root, fresh):
    name = fresh("policy")
    good = PERMIT.replace("NAME", name)
    root.sys.create_or_update_policy(name, good)
    for bad in ("permit (", good.replace("read_secret", "read_secrets"), 'path "secret/*" { capabilities = ["read"] }'):
        with pytest.raises(InvalidRequest) as refusal:
            root.sys.create_or_update_policy(name, bad)
        assert refusal.value.errors
        assert root.sys.read_policy(name)["data"]["rules"] == good
    with pytest.raises(InvalidRequest, match="convert"):
        root.sys.create_or_update_policy(name, 'path "secret/*" { capabilities = ["read"] }')
    root.sys.delete_policy(name)


def test_the_shipped_folder_is_a_sound_set(server, root):
    tested = server.cli("policy", "test", str(REPOSITORY / "policies"))
    assert tested.returncode == 0, tested.stdout + tested.stderr
    another = (REPOSITORY / "policies" / "base.cedar").read_text() + "\n"
    with pytest.raises(InvalidRequest, match="reserved"):
        root.adapter.post("/v1/sys/policies/load", json={"policies": {"base": another}})


def test_errors_are_mapped(server, root, stranger, holder, fresh):
    with pytest.raises(InvalidPath):
        root.secrets.kv.v2.read_secret(fresh("nothing"), raise_on_deleted_version=True)
    with pytest.raises(InvalidPath):
        root.adapter.get("/v1/no/such/mount")
    assert root.read("no/such/mount") is None
    with pytest.raises(Forbidden):
        holder("a-group-without-policy").secrets.kv.v2.read_secret("anything", raise_on_deleted_version=True)
    with pytest.raises((Forbidden, hvac.exceptions.Unauthorized)):
        stranger.secrets.kv.v2.read_secret("anything", raise_on_deleted_version=True)
    with pytest.raises(Forbidden):
        client_of(server, "hvs.synthetic-token-that-nobody-made").sys.list_mounted_secrets_engines()
    with pytest.raises(InvalidRequest):
        root.adapter.post("/v1/secret/data/x", json={"data": "not an object"})


def test_capabilities(root, group, holder, kv):
    reader = holder(group(f'permit (principal in GROUP, action in [Action::"read_secret", Action::"list_secrets"], resource in Mount::"{kv}");'))
    assert root.sys.get_capabilities([f"{kv}/data/x"])["data"]["capabilities"] == ["root"]
    mine = reader.sys.get_capabilities([f"{kv}/data/x"])["data"]["capabilities"]
    assert mine == ["read"]
    assert reader.sys.get_capabilities(["sys/mounts"])["data"]["capabilities"] == ["deny"]


def test_the_mounts_that_command_lines_ask_for(root, kv):
    answer = root.read(f"sys/internal/ui/mounts/{kv}")["data"]
    assert (answer["type"], answer["options"]["version"], answer["path"]) == ("kv", "2", f"{kv}/")


def test_the_key_is_rotated(root):
    before = root.sys.get_encryption_key_status()["data"]["term"]
    assert root.sys.rotate_encryption_key().status_code in (200, 204)
    assert root.sys.get_encryption_key_status()["data"]["term"] == before + 1
