"""hvac's `secrets.transform`, and what goldfin adds to it. All values are synthetic."""

import pytest
from asking import curl
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest

SSN = "666-12-3456"


@pytest.fixture
def engine(root):
    return root.secrets.transform


@pytest.fixture
def role(engine, transform):
    """A role with two tokenizations, `name` and `ssn`."""
    for name in ("name", "ssn"):
        engine.create_or_update_tokenization_transformation(name, allowed_roles=["clerk"], mount_point=transform)
    engine.create_or_update_role("clerk", ["name", "ssn"], mount_point=transform)
    return "clerk"


def encode(engine, mount, value, transformation="ssn", role="clerk"):
    return engine.encode(role, value=value, transformation=transformation, mount_point=mount)["data"]["encoded_value"]


def decode(engine, mount, token, transformation="ssn", role="clerk"):
    return engine.decode(role, value=token, transformation=transformation, mount_point=mount)["data"]["decoded_value"]


def test_roles(engine, transform):
    assert engine.create_or_update_role("r", ["a", "b"], mount_point=transform).status_code == 204
    assert engine.read_role("r", mount_point=transform)["data"]["transformations"] == ["a", "b"]
    assert engine.list_roles(mount_point=transform)["data"]["keys"] == ["r"]
    assert engine.delete_role("r", mount_point=transform).status_code == 204
    with pytest.raises(InvalidPath):
        engine.read_role("r", mount_point=transform)
    with pytest.raises(InvalidPath):
        engine.list_roles(mount_point=transform)


def test_transformations(engine, transform):
    made = engine.create_or_update_tokenization_transformation("t", max_ttl=3600, allowed_roles=["r"], mount_point=transform)
    assert made.status_code == 204
    read = engine.read_transformation("t", mount_point=transform)["data"]
    assert (read["type"], read["mapping_mode"], read["allowed_roles"]) == ("tokenization", "default", ["r"])
    assert engine.list_transformations(mount_point=transform)["data"]["keys"] == ["t"]
    assert engine.delete_transformation("t", mount_point=transform).status_code == 204
    with pytest.raises(InvalidPath):
        engine.read_transformation("t", mount_point=transform)


def test_a_value_goes_and_comes_back(engine, transform, role):
    token = encode(engine, transform, SSN)
    assert SSN not in token and "12-3456" not in token
    assert decode(engine, transform, token) == SSN
    assert encode(engine, transform, SSN) != token, "the same value gives another token unless it is convergent"


def test_any_text_comes_back_as_it_was(engine, transform, role):
    for value in ("Zoë O'Neill", "名前", " leading and trailing ", "x", "\u0001\t\n", "y" * 4000):
        assert decode(engine, transform, encode(engine, transform, value, "name"), "name") == value


def test_a_batch_keeps_its_order_and_references(engine, transform, role):
    items = [{"value": f"666-00-{number:04}", "transformation": "ssn", "reference": f"row {number}"} for number in range(1000)]
    results = engine.encode("clerk", batch_input=items, mount_point=transform)["data"]["batch_results"]
    assert [result["reference"] for result in results] == [item["reference"] for item in items]
    assert len({result["encoded_value"] for result in results}) == 1000
    back = [{"value": result["encoded_value"], "transformation": "ssn", "reference": result["reference"]} for result in results]
    decoded = engine.decode("clerk", batch_input=back, mount_point=transform)["data"]["batch_results"]
    assert [result["decoded_value"] for result in decoded] == [item["value"] for item in items]
    assert [result["reference"] for result in decoded] == [item["reference"] for item in items]


def test_one_bad_item_does_not_fail_the_others(server, engine, transform, role):
    token = encode(engine, transform, SSN)
    items = [{"value": token, "transformation": "ssn"}, {"value": "no-token", "transformation": "ssn", "reference": "bad"}]
    results = engine.decode("clerk", batch_input=items, mount_point=transform)["data"]["batch_results"]
    assert results[0]["decoded_value"] == SSN
    assert results[1]["error"] and results[1]["status"] in (400, 404) and results[1]["reference"] == "bad"
    assert "no-token" not in results[1]["error"]
    all_bad = curl(server, f"/v1/{transform}/decode/clerk", body={"batch_input": [items[1]]})
    assert all_bad.status == 400 and all_bad.json["data"]["batch_results"][0]["error"]


def test_a_token_belongs_to_its_transformation_and_mount(engine, root, transform, role, fresh):
    token = encode(engine, transform, SSN)
    with pytest.raises((InvalidRequest, InvalidPath)):
        decode(engine, transform, token, "name")
    other = fresh("transform")
    root.sys.enable_secrets_engine("transform", path=other)
    engine.create_or_update_tokenization_transformation("ssn", allowed_roles=["clerk"], mount_point=other)
    engine.create_or_update_role("clerk", ["ssn"], mount_point=other)
    with pytest.raises((InvalidRequest, InvalidPath)):
        decode(engine, other, token)
    root.sys.disable_secrets_engine(other)


def test_a_mistyped_token_is_refused_without_being_repeated(engine, transform, role):
    token = encode(engine, transform, SSN)
    for wrong in (token[:-1], token[:-1] + ("A" if token[-1] != "A" else "B"), token + token, ""):
        with pytest.raises((InvalidRequest, InvalidPath)) as refusal:
            decode(engine, transform, wrong)
        assert not wrong or wrong not in str(refusal.value.errors)


def test_the_transformation_may_be_left_out_where_there_is_one(engine, transform, role):
    engine.create_or_update_tokenization_transformation("only", allowed_roles=["single"], mount_point=transform)
    engine.create_or_update_role("single", ["only"], mount_point=transform)
    token = encode(engine, transform, SSN, None, "single")
    assert decode(engine, transform, token, None, "single") == SSN
    with pytest.raises(InvalidRequest):
        encode(engine, transform, SSN, None, "clerk")


def test_a_role_that_is_not_allowed_is_refused(engine, transform, role):
    engine.create_or_update_role("another", ["ssn"], mount_point=transform)
    with pytest.raises((InvalidRequest, Forbidden)):
        encode(engine, transform, SSN, "ssn", "another")
    with pytest.raises((InvalidRequest, InvalidPath)):
        encode(engine, transform, SSN, "ssn", "no-such-role")


def test_validity_metadata_and_whether_a_value_is_known(engine, transform, role):
    token = encode(engine, transform, SSN)
    ask = {"transformation": "ssn", "mount_point": transform}
    assert engine.validate_token("clerk", value=token, **ask)["data"]["valid"] is True
    assert engine.validate_token("clerk", value=token[:-2], **ask)["data"]["valid"] is False
    assert "metadata" in engine.retrieve_token_metadata("clerk", value=token, **ask)["data"]


@pytest.mark.parametrize("member", [{"stores": ["elsewhere"]}])
def test_what_is_not_there_is_refused_and_not_ignored(server, transform, member):
    answer = curl(server, f"/v1/{transform}/transformation/t", body={"type": "tokenization", "allowed_roles": ["r"]} | member)
    assert answer.status == 400 and "builtin/internal" in answer.json["errors"][0]
    assert curl(server, f"/v1/{transform}/transformation/t").status == 404


def test_encoding_is_not_decoding(engine, transform, role, group, holder):
    writer = holder(group(f'permit (principal in GROUP, action == Action::"encode", resource in Mount::"{transform}");')).secrets.transform
    token = encode(writer, transform, SSN)
    with pytest.raises(Forbidden):
        decode(writer, transform, token)
    assert decode(engine, transform, token) == SSN


def test_a_purpose_is_asked_for_where_the_transformation_names_some(server, engine, transform):
    body = {"allowed_roles": ["clerk"], "class": "phone", "purposes": ["claims", "support"]}
    assert curl(server, f"/v1/{transform}/transformations/tokenization/phone", body=body).status == 204
    engine.create_or_update_role("clerk", ["phone"], mount_point=transform)
    token = encode(engine, transform, "555-0100", "phone")
    ask = {"value": token, "transformation": "phone"}
    assert curl(server, f"/v1/{transform}/decode/clerk", body=ask).status in (400, 403)
    unlisted = curl(server, f"/v1/{transform}/decode/clerk", body=ask | {"purpose": "curiosity"})
    assert unlisted.status == 400
    assert server.psql(f"SELECT purpose FROM audit WHERE request_id = '{unlisted.request_id}'") == [["(unlisted)"]]
    for options, body in ((["--header", "X-Goldfin-Purpose: claims"], ask), ([], ask | {"purpose": "support"})):
        answer = curl(server, f"/v1/{transform}/decode/clerk", *options, body=body)
        assert answer.status == 200 and answer.json["data"]["decoded_value"] == "555-0100"


def test_an_erased_subject_is_gone_and_stays_gone(server, engine, transform, role):
    def values(subject):
        body = {"value": SSN, "transformation": "ssn", "subject": subject}
        return curl(server, f"/v1/{transform}/encode/clerk", body=body).json["data"]["encoded_value"]

    erased, kept = values("synthetic-1"), values("synthetic-2")
    held = curl(server, f"/v1/{transform}/subjects/synthetic-1")
    assert held.status == 200
    erasure = curl(server, f"/v1/{transform}/subjects/synthetic-1", "--request", "DELETE")
    assert erasure.status in (200, 204) and erasure.receipt
    gone = curl(server, f"/v1/{transform}/decode/clerk", body={"value": erased, "transformation": "ssn"})
    assert gone.status == 410 and SSN not in gone.body.decode()
    batch = [{"value": erased, "transformation": "ssn"}, {"value": kept, "transformation": "ssn"}]
    results = engine.decode("clerk", batch_input=batch, mount_point=transform)["data"]["batch_results"]
    assert results[0]["status"] == 410 and results[1]["decoded_value"] == SSN
    again = values("synthetic-1")
    assert again != erased and decode(engine, transform, again) == SSN
    assert curl(server, f"/v1/{transform}/decode/clerk", body={"value": erased, "transformation": "ssn"}).status == 410


def test_who_saw_a_person_is_answered(server, root, engine, transform, role):
    body = {"value": SSN, "transformation": "ssn", "subject": "synthetic-3"}
    token = curl(server, f"/v1/{transform}/encode/clerk", body=body).json["data"]["encoded_value"]
    for _ in range(2):
        assert decode(engine, transform, token) == SSN
    seen = root.read(f"{transform}/subjects/synthetic-3/disclosures")["data"]["disclosures"]
    assert len(seen) == 2 and all(one["account"] == "root" and one["count"] == 1 for one in seen)


def test_keys_are_rotated_and_old_tokens_still_resolve(engine, transform, role):
    old = encode(engine, transform, SSN)
    engine.rotate_tokenization_key("ssn", mount_point=transform)
    assert engine.read_tokenization_key_configuration("ssn", mount_point=transform)["data"]["latest_version"] == 2
    new = encode(engine, transform, SSN)
    assert [decode(engine, transform, token) for token in (old, new)] == [SSN, SSN]
