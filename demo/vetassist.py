#!/usr/bin/env python3
"""What the VetAssist backend needs of goldfin, with nothing but Python's standard library.

    vetassist.py tokenize PEOPLE.csv TOKENS.csv     replace every personal value by a token, a thousand values a call
    vetassist.py singly TOKENS.csv SECONDS [ID]     turn phone numbers back but that of ID, one call each, and count the calls
    vetassist.py decode TOKENS.csv [ID]             turn every name and phone number back but those of ID, a hundred values a call
    vetassist.py gone TOKENS.csv ID                 see that the tokens of an erased veteran answer 410

VAULT_ADDR, VAULT_CACERT and VAULT_TOKEN say where and as whom. What was measured is printed as NAME=value lines.
"""

import http.client
import json
import os
import ssl
import sys
import time
import urllib.parse

import veterans

CLASSES = ["name", "ssn", "va_file_number", "dob", "phone", "email"]


class Goldfin:
    """One connection, kept open."""

    def __init__(self) -> None:
        address = urllib.parse.urlsplit(os.environ["VAULT_ADDR"])
        trust = ssl.create_default_context(cafile=os.environ["VAULT_CACERT"])
        self.connection = http.client.HTTPSConnection(address.hostname, address.port, context=trust, timeout=60)
        self.headers = {"X-Vault-Token": os.environ["VAULT_TOKEN"], "Content-Type": "application/json"}

    def post(self, path: str, body: dict) -> tuple[int, dict]:
        self.connection.request("POST", f"/v1/{path}", json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")

    def batch(self, path: str, items: list[dict]) -> list[dict]:
        status, answer = self.post(path, {"batch_input": items})
        if status not in (200, 400) or not (answer.get("data") or {}).get("batch_results"):
            raise SystemExit(f"{path}: status {status}: {answer.get('errors')}")
        return answer["data"]["batch_results"]


def chunks(items: list, size: int):
    return (items[start : start + size] for start in range(0, len(items), size))


def value_of(result: dict, member: str) -> str:
    if result.get("error"):
        raise SystemExit(f"status {result.get('status')}: {result['error']}")
    return result[member]


def tokenize(source: str, target: str) -> None:
    people = veterans.read(source)
    items = [{"value": person[name], "transformation": name, "subject": person["id"]} for person in people for name in CLASSES]
    goldfin, tokens, started = Goldfin(), [], time.perf_counter()
    for chunk in chunks(items, 1000):
        tokens += [value_of(result, "encoded_value") for result in goldfin.batch("transform/encode/vetassist", chunk)]
    seconds = time.perf_counter() - started
    rows = [dict(zip(CLASSES, row), id=person["id"]) for person, row in zip(people, chunks(tokens, len(CLASSES)))]
    veterans.write(target, rows)
    report(values=len(items), calls=-(-len(items) // 1000), milliseconds=round(seconds * 1000), rate=round(len(items) / seconds))


def decode(source: str, but: str = "") -> None:
    rows = [row for row in veterans.read(source) if row["id"] != but]
    items = [{"value": row[name], "transformation": name, "purpose": "claims"} for row in rows for name in ("name", "phone")]
    goldfin, started = Goldfin(), time.perf_counter()
    for chunk in chunks(items, 100):
        for result in goldfin.batch("transform/decode/vetassist", chunk):
            value_of(result, "decoded_value")
    seconds = time.perf_counter() - started
    report(values=len(items), calls=-(-len(items) // 100), milliseconds=round(seconds * 1000), rate=round(len(items) / seconds))


def singly(source: str, seconds: float, but: str = "") -> None:
    rows = [row for row in veterans.read(source) if row["id"] != but]
    goldfin, count, started = Goldfin(), 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        body = {"value": rows[count % len(rows)]["phone"], "transformation": "phone", "purpose": "claims"}
        status, answer = goldfin.post("transform/decode/vetassist", body)
        if status != 200:
            raise SystemExit(f"status {status}: {answer.get('errors')}")
        count += 1
    report(calls=count, rate=round(count / (time.perf_counter() - started)))


def gone(source: str, person: str) -> None:
    row = next(row for row in veterans.read(source) if row["id"] == person)
    items = [{"value": row[name], "transformation": name, "purpose": "claims"} for name in ("name", "phone")]
    states = [result.get("status") for result in Goldfin().batch("transform/decode/vetassist", items)]
    if states != [410, 410]:
        raise SystemExit(f"expected 410 twice, got {states}")
    report(values=len(states), status=410)


def report(**figures: int) -> None:
    for name, figure in figures.items():
        print(f"{name}={figure}")


def main() -> None:
    match sys.argv[1:]:
        case ["tokenize", source, target]:
            tokenize(source, target)
        case ["decode", source, *but]:
            decode(source, *but)
        case ["singly", source, seconds, *but]:
            singly(source, float(seconds), *but)
        case ["gone", source, person]:
            gone(source, person)
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
