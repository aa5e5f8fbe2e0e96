"""hvac's `secrets.transform` with templates: format-preserving encryption, masking and shaped tokens. All values are synthetic."""

import re

import pytest
from asking import curl
from hvac.exceptions import InvalidPath, InvalidRequest

SSN = "666-12-3456"
CARD = "4111-1111-1111-1111"
TWEAK = "AAECAwQFBg=="


@pytest.fixture
def engine(root):
    return root.secrets.transform


@pytest.fixture
def role(engine, transform):
    """A role with one transformation of each kind."""
    ask = {"allowed_roles": ["clerk"], "mount_point": transform}
    engine.create_or_update_fpe_transformation("ssn", template="builtin/socialsecuritynumber", tweak_source="supplied", **ask)
    engine.create_or_update_fpe_transformation("card", template="builtin/creditcardnumber", tweak_source="internal", **ask)
    engine.create_or_update_masking_transformation("mask", template="builtin/creditcardnumber", masking_character="#", **ask)
    engine.create_or_update_role("clerk", ["ssn", "card", "mask"], mount_point=transform)
    return "clerk"


def test_templates(engine, transform):
    made = engine.create_or_update_template(
        name="t", template_type="regex", pattern="([0-9]{3})-([0-9]{4})", alphabet="builtin/numeric", mount_point=transform
    )
    assert made.status_code == 204
    read = engine.read_template("t", mount_point=transform)["data"]
    assert (read["type"], read["pattern"], read["alphabet"]) == ("regex", "([0-9]{3})-([0-9]{4})", "builtin/numeric")
    listed = engine.list_templates(mount_point=transform)["data"]["keys"]
    assert {"t", "builtin/creditcardnumber", "builtin/socialsecuritynumber"} <= set(listed)
    assert engine.delete_template("t", mount_point=transform).status_code == 204
    with pytest.raises(InvalidPath):
        engine.read_template("t", mount_point=transform)


def test_alphabets(engine, transform):
    assert engine.create_or_update_alphabet("a", alphabet="abcdefé", mount_point=transform).status_code == 204
    assert engine.read_alphabet("a", mount_point=transform)["data"]["alphabet"] == "abcdefé"
    listed = engine.list_alphabets(mount_point=transform)["data"]["keys"]
    assert {"a", "builtin/numeric", "builtin/alphalower", "builtin/alphanumeric"} <= set(listed)
    assert engine.delete_alphabet("a", mount_point=transform).status_code == 204
    with pytest.raises(InvalidPath):
        engine.read_alphabet("a", mount_point=transform)


def test_transformations_of_each_type_read_as_written(engine, transform, role):
    read = engine.read_transformation("ssn", mount_point=transform)["data"]
    assert (read["type"], read["templates"], read["tweak_source"]) == ("fpe", ["builtin/socialsecuritynumber"], "supplied")
    read = engine.read_transformation("mask", mount_point=transform)["data"]
    assert (read["type"], read["templates"], read["masking_character"]) == ("masking", ["builtin/creditcardnumber"], "#")
    assert engine.list_transformations(mount_point=transform)["data"]["keys"] == ["card", "mask", "ssn"]


def test_the_old_path_makes_every_type(engine, transform):
    for kind in ("fpe", "masking"):
        made = engine.create_or_update_transformation(
            name=kind, transform_type=kind, template="builtin/creditcardnumber", allowed_roles=["clerk"], mount_point=transform
        )
        assert made.status_code == 204
        assert engine.read_transformation(kind, mount_point=transform)["data"]["type"] == kind
        assert engine.delete_transformation(kind, mount_point=transform).status_code == 204


def test_a_supplied_tweak_goes_both_ways(engine, transform, role):
    ask = {"role_name": role, "transformation": "ssn", "mount_point": transform}
    made = engine.encode(value=SSN, tweak=TWEAK, **ask)["data"]["encoded_value"]
    assert re.fullmatch(r"\d{3}-\d{2}-\d{4}", made) and made != SSN
    assert engine.decode(value=made, tweak=TWEAK, **ask)["data"]["decoded_value"] == SSN
    assert engine.decode(value=made, tweak="BgUEAwIBAA==", **ask)["data"]["decoded_value"] != SSN
    for wrong in (None, "AAEC", "no base64"):
        with pytest.raises(InvalidRequest):
            engine.encode(value=SSN, tweak=wrong, **ask)


def test_masking_is_one_way(engine, transform, role):
    ask = {"role_name": role, "transformation": "mask", "mount_point": transform}
    assert engine.encode(value=CARD, **ask)["data"]["encoded_value"] == "####-####-####-####"
    with pytest.raises(InvalidRequest):
        engine.decode(value="####-####-####-####", **ask)


def test_a_batch_of_cards_with_one_that_is_none(engine, transform, role):
    ask = {"role_name": role, "transformation": "card", "mount_point": transform}
    values = [CARD, "4111-1111", "5555555555554444"]
    made = engine.encode(batch_input=[{"value": value, "reference": value[-4:]} for value in values], **ask)["data"]["batch_results"]
    assert [result.get("status") for result in made] == [None, 400, None]
    assert [result["reference"] for result in made] == ["1111", "1111", "4444"]
    good = [made[0]["encoded_value"], made[2]["encoded_value"]]
    back = engine.decode(batch_input=[{"value": value} for value in good], **ask)["data"]["batch_results"]
    assert [result["decoded_value"] for result in back] == [values[0], values[2]]


def test_decode_formats(server, engine, transform):
    pattern = "(?:SSN:? )?([0-9]{3})[- ]?([0-9]{2})[- ]?([0-9]{4})"
    formats = {"space-separated": "$1 $2 $3", "last-four": "*** ** $3"}
    body = {"pattern": pattern, "alphabet": "builtin/numeric", "encode_format": "$1-$2-$3", "decode_formats": formats}
    assert curl(server, f"/v1/{transform}/template/us", body=body | {"type": "regex"}).status == 204
    ask = {"allowed_roles": ["clerk"], "mount_point": transform}
    engine.create_or_update_fpe_transformation("us", template="us", tweak_source="internal", **ask)
    engine.create_or_update_role("clerk", ["us"], mount_point=transform)
    made = engine.encode(role_name="clerk", value="SSN: 666123456", mount_point=transform)["data"]["encoded_value"]
    assert re.fullmatch(r"\d{3}-\d{2}-\d{4}", made)
    for name, expected in (("", SSN), ("/space-separated", "666 12 3456"), ("/last-four", "*** ** 3456")):
        answer = curl(server, f"/v1/{transform}/decode/clerk{name}", body={"value": made})
        assert answer.json["data"]["decoded_value"] == expected


def test_a_shaped_token_is_no_ssn(server, engine, transform):
    body = {"shape": "builtin/socialsecuritynumber", "allowed_roles": ["clerk"]}
    assert curl(server, f"/v1/{transform}/transformations/tokenization/shaped", body=body).status == 204
    engine.create_or_update_role("clerk", ["shaped"], mount_point=transform)
    made = [engine.encode(role_name="clerk", value=SSN, mount_point=transform)["data"]["encoded_value"] for _ in range(10)]
    assert len(set(made)) == 10 and all(re.fullmatch(r"9\d{2}-\d{2}-\d{4}", token) for token in made)
    for token in made:
        assert engine.decode(role_name="clerk", value=token, mount_point=transform)["data"]["decoded_value"] == SSN
