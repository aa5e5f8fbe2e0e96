#!/usr/bin/env python3
"""Writes a CSV file of synthetic veterans: none of these people exists.

Social security numbers come from ranges that are never issued (areas 000 and 666; area 900 to 999 with a group below 50, which is no
ITIN either), phone numbers from 555-01xx, e-mail addresses from example.test. The same seed gives the same file.

usage: veterans.py COUNT FILE [--seed N]
"""

import argparse
import csv
import datetime
import random

HEADER = "# synthetic data: none of these people exists"
COLUMNS = ["id", "name", "ssn", "va_file_number", "dob", "phone", "email"]

FIRST_NAMES = (
    "Abigail Amir Ana Andre Anna Ben Beth Carl Carmen Chen Dana David Diego Dora Elena Eli Emma Erik Fatima Felix Flora Frank Grace "
    "Hana Hector Helen Hugo Ida Ivan Jack Jamal Jane Jorge Julia Kai Karen Kofi Lars Laura Leila Leo Lily Luis Maria Mateo Mei Mina "
    "Nadia Nina Noah Nora Olga Omar Oscar Paul Petra Quinn Rachel Raj Rosa Ruth Sam Sara Sofia Tariq Theo Uma Vera Victor Wanda "
    "Xavier Yara Yusuf Zoe"
).split()
LAST_NAMES = (
    "Abbott Adler Alvarez Archer Baker Barros Becker Bishop Brandt Carter Castillo Chang Clark Cruz Daniels Diaz Doyle Dube Eriksen "
    "Evans Farmer Fischer Flores Fox García Graham Hale Hansen Hayes Hughes Ivanov Jensen Johansson Kaur Keller Khan Kim Kovač Lang "
    "Lopez Marsh Mercer Moreau Müller Nakamura Nguyen Novak Núñez O'Neill Okafor Olsen Ortiz Park Patel Petrov Quist Ramos Reed "
    "Rivera Rossi Ruiz Sato Schmidt Silva Singh Stone Tanaka Torres Vargas Vogel Weber Wolf Yilmaz Young Zhang"
).split()
AREA_CODES = [202, 206, 210, 303, 305, 312, 404, 415, 512, 602, 617, 702, 808, 907]


def never_issued_ssn(rng: random.Random) -> str:
    area = rng.choice([0, 666, rng.randint(900, 999)])
    return f"{area:03}-{rng.randint(1, 49):02}-{rng.randint(1, 9999):04}"


def veteran(rng: random.Random, number: int) -> dict[str, str]:
    first, last = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
    born = datetime.date(1940, 1, 1) + datetime.timedelta(days=rng.randrange(60 * 365))
    return {
        "id": f"synthetic-{number:05}",
        "name": f"{first} {rng.choice('ABCDEFGHJKLMNPRSTW')}. {last}",
        "ssn": never_issued_ssn(rng),
        # Numbers of eight digits were given out from the bottom up before 1973; they do not start with two zeros.
        "va_file_number": f"00{rng.randrange(10**6):06}",
        "dob": born.isoformat(),
        "phone": f"{rng.choice(AREA_CODES)}-555-01{rng.randrange(100):02}",
        "email": f"synthetic.{number:05}@example.test",
    }


def write(path: str, rows: list[dict[str, str]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write(HEADER + "\n")
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read(path: str) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def main() -> None:
    arguments = argparse.ArgumentParser(description="Write a CSV file of synthetic veterans.")
    arguments.add_argument("count", type=int)
    arguments.add_argument("file")
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    rng = random.Random(given.seed)
    write(given.file, [veteran(rng, number) for number in range(1, given.count + 1)])


if __name__ == "__main__":
    main()
