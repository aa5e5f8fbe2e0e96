"""Convergent tokens, snapshots and exports, with hvac's own methods where it has them. All values are synthetic."""

import base64

import pytest
from asking import curl
from hvac.exceptions import Forbidden, InvalidRequest

VALUES = [f"666-00-{number:04}" for number in range(25)]


@pytest.fixture
def engine(root):
    return root.secrets.transform


@pytest.fixture
def joined(server, engine, transform):
    """A role `analyst` with the convergent, exportable transformation `icn`."""
    body = {"convergent": True, "mapping_mode": "exportable", "deletion_allowed": True, "allowed_roles": ["analyst"]}
    assert curl(server, f"/v1/{transform}/transformations/tokenization/icn", body=body).status == 204
    engine.create_or_update_role("analyst", ["icn"], mount_point=transform)
    return "analyst"


def encode_all(engine, mount, values, role="analyst"):
    items = [{"value": value} for value in values]
    results = engine.encode(role, batch_input=items, mount_point=mount)["data"]["batch_results"]
    return [result["encoded_value"] for result in results]


def test_the_same_value_gives_the_same_token(engine, transform, joined):
    tokens = encode_all(engine, transform, VALUES + VALUES[::-1])
    assert tokens[:25] == tokens[:24:-1]
    assert len(set(tokens)) == 25
    assert engine.encode("analyst", value=VALUES[3], mount_point=transform)["data"]["encoded_value"] == tokens[3]
    assert engine.decode("analyst", value=tokens[3], mount_point=transform)["data"]["decoded_value"] == VALUES[3]
    assert engine.read_transformation("icn", mount_point=transform)["data"]["convergent"] is True


def test_whether_a_value_is_known_and_which_its_token_is(server, engine, transform, joined):
    (token,) = encode_all(engine, transform, VALUES[:1])
    for value, known in ((VALUES[0], True), (VALUES[1], False), ("", False)):
        answer = engine.check_tokenization("analyst", value=value, transformation="icn", mount_point=transform)
        assert answer["data"]["tokenized"] is known
    items = [{"value": VALUES[0]}, {"value": VALUES[1]}]
    found = curl(server, f"/v1/{transform}/tokens/analyst", body={"batch_input": items}).json["data"]["batch_results"]
    assert found == [{"tokens": [token]}, {"tokens": []}]


def test_a_snapshot_is_restored_by_a_client(server, engine, transform, joined):
    tokens = encode_all(engine, transform, VALUES)
    values, continuation = [], ""
    while continuation is not None:
        page = engine.snapshot_tokenization_state("icn", limit=10, continuation=continuation, mount_point=transform)["data"]
        values += page["values"]
        continuation = page.get("continuation")
    assert len(values) == 25
    delete = {"batch_input": [{"value": token} for token in tokens]}
    assert curl(server, f"/v1/{transform}/tokens/analyst", "--request", "DELETE", body=delete).status == 200
    with pytest.raises(InvalidRequest):
        engine.decode("analyst", value=tokens[0], mount_point=transform)
    with pytest.raises(InvalidRequest):
        engine.restore_tokenization_state("icn", [values[0], values[1][:-4] + "AAA="], mount_point=transform)
    assert engine.restore_tokenization_state("icn", values, mount_point=transform).status_code == 204
    assert engine.restore_tokenization_state("icn", values[:5], mount_point=transform).status_code == 204
    assert encode_all(engine, transform, VALUES) == tokens


def test_an_export_is_for_who_may(engine, transform, joined, group, holder):
    tokens = encode_all(engine, transform, VALUES[:3])
    exported = engine.export_decoded_tokenization_state("icn", mount_point=transform)["data"]
    assert "continuation" not in exported
    assert {value["token"]: base64.b64decode(value["plaintext"]).decode() for value in exported["values"]} == dict(zip(tokens, VALUES))
    decoder = holder(group(f'permit (principal in GROUP, action == Action::"decode", resource in Mount::"{transform}");'))
    with pytest.raises(Forbidden):
        decoder.secrets.transform.export_decoded_tokenization_state("icn", mount_point=transform)
