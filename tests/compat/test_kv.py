"""hvac's `secrets.kv.v2`: every method."""

import pytest
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest

SECRET = {"username": "synthetic", "password": "synthetic-password"}


@pytest.fixture
def v2(root):
    return root.secrets.kv.v2


def put(v2, mount, path, secret=None, **options):
    return v2.create_or_update_secret(path, secret or SECRET, mount_point=mount, **options)["data"]


def get(v2, mount, path, **options):
    return v2.read_secret_version(path, mount_point=mount, raise_on_deleted_version=True, **options)["data"]


def test_a_secret_is_written_and_read_back(v2, kv):
    written = put(v2, kv, "app/db")
    assert (written["version"], written["destroyed"], written["deletion_time"]) == (1, False, "")
    answer = v2.read_secret("app/db", mount_point=kv, raise_on_deleted_version=True)
    for member in ("request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings", "auth"):
        assert member in answer
    assert answer["data"]["data"] == SECRET
    assert answer["data"]["metadata"]["version"] == 1
    assert answer["data"]["metadata"]["created_time"] == written["created_time"]
    assert "custom_metadata" in answer["data"]["metadata"]


def test_values_keep_their_types_and_characters(v2, kv):
    secret = {"text": "ünï©ødé \n\t\"\\ 𝄞", "number": 12345678901234567890, "float": 1.5, "no": None, "yes": True, "list": [1, {"a": []}], "": "x"}
    put(v2, kv, "types", secret)
    assert get(v2, kv, "types")["data"] == secret


def test_versions_are_kept_and_read_by_number(v2, kv):
    for number in range(1, 4):
        assert put(v2, kv, "versions", {"number": str(number)})["version"] == number
    assert get(v2, kv, "versions")["data"] == {"number": "3"}
    assert get(v2, kv, "versions", version=2)["data"] == {"number": "2"}
    with pytest.raises(InvalidPath):
        get(v2, kv, "versions", version=9)


def test_check_and_set(v2, kv):
    put(v2, kv, "cas", cas=0)
    with pytest.raises(InvalidRequest, match="check-and-set"):
        put(v2, kv, "cas", cas=0)
    with pytest.raises(InvalidRequest):
        put(v2, kv, "cas", cas=7)
    assert put(v2, kv, "cas", cas=1)["version"] == 2


def test_patch_changes_some_values(v2, kv):
    put(v2, kv, "patched")
    with pytest.warns(DeprecationWarning):
        assert v2.patch("patched", {"password": "another"}, mount_point=kv)["data"]["version"] == 2
    assert get(v2, kv, "patched")["data"] == SECRET | {"password": "another"}
    with pytest.raises(InvalidPath), pytest.warns(DeprecationWarning):
        v2.patch("not-there", {"a": "b"}, mount_point=kv)


def test_delete_and_undelete_the_latest(v2, kv):
    put(v2, kv, "latest")
    assert v2.delete_latest_version_of_secret("latest", mount_point=kv).status_code == 204
    with pytest.raises(InvalidPath):
        get(v2, kv, "latest")
    kept = v2.read_secret("latest", mount_point=kv, raise_on_deleted_version=False)["data"]
    assert kept["data"] is None and kept["metadata"]["deletion_time"] != "" and not kept["metadata"]["destroyed"]
    assert v2.undelete_secret_versions("latest", [1], mount_point=kv).status_code == 204
    assert get(v2, kv, "latest")["data"] == SECRET


def test_delete_and_destroy_versions(v2, kv):
    for _ in range(3):
        put(v2, kv, "several")
    assert v2.delete_secret_versions("several", [1, 2], mount_point=kv).status_code == 204
    assert v2.destroy_secret_versions("several", [2], mount_point=kv).status_code == 204
    versions = v2.read_secret_metadata("several", mount_point=kv)["data"]["versions"]
    assert [bool(versions[number]["deletion_time"]) for number in "13"] == [True, False]
    assert [versions[number]["destroyed"] for number in "123"] == [False, True, False]
    v2.undelete_secret_versions("several", [1, 2], mount_point=kv)
    assert get(v2, kv, "several", version=1)["data"] == SECRET
    with pytest.raises(InvalidPath):
        get(v2, kv, "several", version=2)


def test_list(v2, kv):
    for path in ("one", "folder/two", "folder/deeper/three"):
        put(v2, kv, path)
    assert v2.list_secrets("", mount_point=kv)["data"]["keys"] == ["folder/", "one"]
    assert v2.list_secrets("folder", mount_point=kv)["data"]["keys"] == ["deeper/", "two"]
    with pytest.raises(InvalidPath):
        v2.list_secrets("nothing/here", mount_point=kv)


def test_metadata(v2, kv):
    put(v2, kv, "described")
    settings = {"max_versions": 2, "cas_required": True, "delete_version_after": "1h30m0s", "custom_metadata": {"owner": "team"}}
    assert v2.update_metadata("described", mount_point=kv, **settings).status_code == 204
    read = v2.read_secret_metadata("described", mount_point=kv)["data"]
    assert {name: read[name] for name in settings} == settings
    assert (read["current_version"], read["oldest_version"], list(read["versions"])) == (1, 0, ["1"])
    with pytest.raises(InvalidRequest):
        put(v2, kv, "described")
    for version in (1, 2):
        put(v2, kv, "described", cas=version)
    assert list(v2.read_secret_metadata("described", mount_point=kv)["data"]["versions"]) == ["2", "3"]


def test_delete_with_all_versions(v2, kv):
    put(v2, kv, "gone")
    assert v2.delete_metadata_and_all_versions("gone", mount_point=kv).status_code == 204
    for read in (v2.read_secret_metadata, lambda path, mount_point: get(v2, mount_point, path)):
        with pytest.raises(InvalidPath):
            read("gone", mount_point=kv)
    assert put(v2, kv, "gone")["version"] == 1


def test_configuration(v2, kv):
    assert v2.configure(max_versions=3, cas_required=True, delete_version_after="2h", mount_point=kv).status_code == 204
    read = v2.read_configuration(mount_point=kv)["data"]
    assert (read["max_versions"], read["cas_required"], read["delete_version_after"]) == (3, True, "2h0m0s")
    with pytest.raises(InvalidRequest):
        put(v2, kv, "needs-cas")
    for version in range(5):
        put(v2, kv, "needs-cas", cas=version)
    assert list(v2.read_secret_metadata("needs-cas", mount_point=kv)["data"]["versions"]) == ["3", "4", "5"]


def test_the_mount_that_is_always_there(root):
    assert root.secrets.kv.default_kv_version == "2"
    root.secrets.kv.create_or_update_secret("always", SECRET)
    assert root.secrets.kv.read_secret("always", raise_on_deleted_version=True)["data"]["data"] == SECRET
    root.secrets.kv.v2.delete_metadata_and_all_versions("always")


def test_what_is_not_permitted_looks_the_same_whether_it_exists_or_not(root, kv, group, holder, v2):
    put(v2, kv, "mine/one")
    put(v2, kv, "other/one")
    reader = holder(group(f'permit (principal in GROUP, action == Action::"read_secret", resource in Folder::"{kv}/mine");'))
    assert get(reader.secrets.kv.v2, kv, "mine/one")["data"] == SECRET
    with pytest.raises(InvalidPath):
        get(reader.secrets.kv.v2, kv, "mine/two")
    said = []
    for path in ("other/one", "other/not-there"):
        with pytest.raises(Forbidden) as refusal:
            get(reader.secrets.kv.v2, kv, path)
        said.append(refusal.value.errors)
    assert said[0] == said[1]
    with pytest.raises(Forbidden):
        put(reader.secrets.kv.v2, kv, "mine/one")
