"""Free text: a hundred pages of chat with known personal data. Every person is made up, from a fixed seed."""

import collections
import datetime
import json
import random
import textwrap

import pytest
from asking import curl

CLASSES = ("ssn", "credit_card", "phone", "email", "dob", "zip", "va_file_number", "edipi", "icn")

FILLERS = (
    "My knee has been worse since the deployment in 2009, and the rating went from 10 % to 30 %.",
    "See 38 CFR 3.303 and the letter of 2024-05-17; the hearing was at 10:30.",
    "هل يمكنك مساعدتي في المطالبة؟",
    "אני צריך עזרה עם הטופס.",
    "Thanks 🙏🏽 — that helped a lot! 👨‍👩‍👧",
    "Zoë said naïve cafe\u0301 prices rose by $1,234.56.",
    "請幫我填寫表格 21-526EZ。",
    "| column | value |\n|---|---|\n| a | 17 |",
    '```json\n{"version": "1.2.3", "items": [1, 2, 3]}\n```',
    "> quoted *and* _emphasised_ text with a_snake_case_name",
)


class People:
    """Makes personal data that its format defines, and the sentences that people write it in."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def digits(self, count: int, first: str = "0123456789") -> str:
        return self.random.choice(first) + "".join(self.random.choice("0123456789") for _ in range(count - 1))

    def ssn(self) -> str:
        area = self.random.choice([n for n in range(1, 900) if n != 666])
        separator = self.random.choice(["-", " ", "-", "\u2011"])
        return separator.join((f"{area:03}", f"{self.random.randint(1, 99):02}", f"{self.random.randint(1, 9999):04}"))

    def credit_card(self) -> str:
        number = self.random.choice(("4", "51", "55", "2221", "6011")) + self.digits(11)
        number = (number + self.digits(16))[:15]
        doubled = sum(sum(divmod(int(digit) * (2 - at % 2), 10)) for at, digit in enumerate(number))
        number += str(-doubled % 10)
        separator = self.random.choice(["", " ", "-"])
        return separator.join(textwrap.wrap(number, 4))

    def phone(self) -> str:
        area = self.random.choice([n for n in range(200, 990) if n % 100 != 11 and n // 10 % 10 != 9])
        exchange = self.random.choice([n for n in range(200, 1000) if n % 100 != 11])
        line = self.digits(4)
        form = self.random.choice(("{}-{}-{}", "({}) {}-{}", "+1 {} {} {}", "{}.{}.{}", "1-{}-{}-{}", "+1 ({}) {}-{}"))
        return form.format(area, exchange, line)

    def email(self) -> str:
        name = "".join(self.random.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(8))
        return f"{name}{self.random.choice(('', '.x', '+va', '_1'))}@{self.random.choice(('example.com', 'mail.example.org', 'example.co.uk'))}"

    def dob(self) -> str:
        date = datetime.date(1930, 1, 1) + datetime.timedelta(days=self.random.randrange(28_000))
        return date.strftime(self.random.choice(("%m/%d/%Y", "%Y-%m-%d", "%B %d, %Y", "%d %b %Y", "%m-%d-%y", "%d-%b-%Y")))

    def zip(self) -> str:
        return self.digits(5) + self.random.choice(("", "-" + self.digits(4)))

    def va_file_number(self) -> str:
        return self.random.choice(("C", "", "C-")) + self.digits(8)

    def edipi(self) -> str:
        return self.digits(10, "123456789")

    def icn(self) -> str:
        return f"10{self.digits(8)}V{self.digits(6)}"

    def sentence(self, kind: str) -> tuple[str, str]:
        value = getattr(self, kind)()
        form = self.random.choice(SENTENCES[kind])
        return form.format(value), value


SENTENCES = {
    "ssn": ("My SSN is {}.", "ssn:{}", "**SSN:** `{}`", '{{"ssn": "{}"}}', "我的號碼是{}。"),
    "credit_card": ("Please charge {}, it is my card.", "{}", "card _{}_"),
    "phone": ("You can call me at {}.", "{} is my cell", "<tel:{}>", "רקמ {} טלפון"),
    "email": ("Write to {}, please.", "<{}>", "*{}*", '"email":"{}"', "mailto:{}", "邮箱是{}。"),
    "dob": ("I was born on {}.", "DOB: {}", '"dateOfBirth": "{}"', "My date of birth is **{}**!", "d.o.b. {}"),
    "zip": ("My ZIP code is {}.", "Springfield, VA {}", "zip={}"),
    "va_file_number": ("My VA file number is {}.", "c-file {}", "VA file no.: {}"),
    "edipi": ("My EDIPI is {}.", "DoD ID number: {}", "edipi={}"),
    "icn": ("ICN {}", "({})", "the record {}^NI^200M^USVHA"),
}


def page(seed: int) -> tuple[str, list[tuple[str, str]]]:
    people = People(seed)
    lines, known = [], []
    for _ in range(people.random.randint(4, 14)):
        if people.random.random() < 0.4:
            lines.append(people.random.choice(FILLERS))
        else:
            kind = people.random.choice(CLASSES)
            sentence, value = people.sentence(kind)
            lines.append(sentence)
            known.append((kind, value))
    return people.random.choice(("\n", "\n\n", "\r\n")).join(lines), known


PAGES = [page(seed) for seed in range(100)]


@pytest.fixture
def chat(root, transform):
    """A role with a transformation for each class."""
    engine = root.secrets.transform
    for name in (*CLASSES, "name"):
        root.write(f"{transform}/transformations/tokenization/{name}", **{"class": name, "allowed_roles": ["chat"]})
    engine.create_or_update_role("chat", [*CLASSES, "name"], mount_point=transform)
    return transform


def ask(server, path: str, body: dict, status: int = 200) -> dict:
    # curl asks before it sends a long body, and would show both answers.
    answer = curl(server, f"/v1/{path}/chat", "--header", "Expect:", body=body)
    assert answer.status == status, answer.body[:1000]
    return answer.json["data"] if status == 200 else answer.json


def redact(server, mount, text, **more):
    return ask(server, f"{mount}/redact", {"text": text} | more)


def restore(server, mount, text):
    return ask(server, f"{mount}/restore", {"text": text})


def test_a_hundred_pages_lose_all_of_their_personal_data_and_get_it_back(server, chat):
    answer = ask(server, f"{chat}/redact", {"batch_input": [{"text": text, "reference": str(n)} for n, (text, _) in enumerate(PAGES)]})
    found = taken = 0
    for n, (result, (text, known)) in enumerate(zip(answer["batch_results"], PAGES, strict=True)):
        assert result["reference"] == str(n) and result["unserved"] == []
        for kind, value in known:
            assert value not in result["text"], f"page {n}: {kind}"
        # A date next to a date of birth may be taken for one; it comes back like everything else.
        dated = result["text"].count("2024-05-17") != text.count("2024-05-17")
        classes = [place["class"] for place in result["replaced"]]
        assert dated or classes == [kind for kind, _ in known], f"page {n}"
        assert collections.Counter(classes) >= collections.Counter(kind for kind, _ in known), f"page {n}"
        taken += dated
        for place in result["replaced"]:
            assert result["text"][place["start"] : place["end"]].startswith("pii_"), "positions are code points, as Python counts"
        found += result["count"]
    assert taken <= 5 and found <= sum(len(known) for _, known in PAGES) + taken and found > 400
    back = ask(server, f"{chat}/restore", {"batch_input": [{"text": result["text"]} for result in answer["batch_results"]]})
    for result, (text, known) in zip(back["batch_results"], PAGES, strict=True):
        assert (result["text"], result["restored"], result["unknown"], result["gone"]) == (text, result["restored"], 0, 0) and result["restored"] >= len(known)


def test_what_a_model_makes_of_a_text_is_restored(server, chat):
    text = "My SSN is 078-05-1120 and my mail is a@example.com."
    redacted = redact(server, chat, text)["text"]
    for change in (
        lambda text: "\n".join(f"> {line}" for line in textwrap.wrap(text, 60, break_long_words=False, break_on_hyphens=False)),
        lambda text: json.dumps({"answer": text, "list": [text]}),
        lambda text: json.dumps(json.dumps({"answer": text})),
        lambda text: f"**{text}**\n\n* _{text}_\n* `{text}`\n\n| {text} |",
        lambda text: f'<p title="{text}">{text}</p>',
        lambda text: text.upper().lower() and f"您好{text}再见",
        lambda text: f"\u202e{text}\u202c e\u0301{text}\u0301",
    ):
        changed = change(redacted)
        restored = restore(server, chat, changed)
        assert restored["text"].replace("\n> ", " ").removeprefix("> ") == change(text).replace("\n> ", " ").removeprefix("> ")
        assert restored["unknown"] == 0
    # Markdown's writers escape what could be emphasis.
    assert restore(server, chat, redacted.replace("_", "\\_"))["text"] == text
    broken = restore(server, chat, redacted.replace("pii_", "pii "))
    assert (broken["restored"], broken["unknown"]) == (0, 0)


def test_results_of_presidio_are_taken_as_they_are(server, chat):
    text = "👋🏽 I am Zoë Synthetic, 078-05-1120, from 東京."
    start = text.index("Zoë")
    spans = [
        {"entity_type": "PERSON", "start": start, "end": start + 13, "score": 0.85, "analysis_explanation": None},
        {"entity_type": "LOCATION", "start": text.index("東京"), "end": text.index("東京") + 2, "score": 0.85},
        {"entity_type": "US_SSN", "start": text.index("078"), "end": text.index("078") + 11, "score": 0.5},
    ]
    result = redact(server, chat, text, spans=spans)
    assert [place["class"] for place in result["replaced"]] == ["name", "ssn", "location"]
    assert result["unserved"] == [{"class": "location", "count": 1}]
    assert restore(server, chat, result["text"])["text"] == text.replace("東京", "[location]")
    for wrong in (
        {"start": 0, "end": len(text) + 1},
        {"start": 5, "end": 2},
        {"start": -1, "end": 2},
        {"start": "one", "end": 2},
        {"start": 0.5, "end": 2},
        {"start": 0, "end": 2, "score": 7},
        {"start": 0, "end": 2, "class": ["x"]},
        {"end": 2},
    ):
        refusal = ask(server, f"{chat}/redact", {"text": text, "spans": [{"entity_type": "PERSON"} | wrong]}, 400)
        assert "`spans`" in refusal["errors"][0] and "spans[0]" in refusal["errors"][0], refusal
        assert "Synthetic" not in refusal["errors"][0]


def test_a_mebibyte_of_text(server, chat):
    text = "🦊 Zoë, SSN 078-05-1120, and 1 2 3 4. " * 26_000
    text = text.encode()[: 1 << 20].decode(errors="ignore")
    result = redact(server, chat, text, classes=["email"])
    assert result["text"] == text
    ask(server, f"{chat}/redact", {"text": text}, 400)
    half = text[: len(text) // 4]
    result = redact(server, chat, half)
    assert result["count"] > 5000 and "078-05-1120" not in result["text"]
    assert restore(server, chat, result["text"])["text"] == half
    ask(server, f"{chat}/redact", {"text": text + text}, 400)


def test_the_command_line(server, chat):
    text = "My SSN is 078-05-1120. 🦊\n\n"
    redacted = server.cli("redact", "chat", "--mount", chat, stdin=text)
    assert redacted.returncode == 0 and "1 replaced" in redacted.stderr and "078-05" not in redacted.stdout + redacted.stderr
    assert redacted.stdout.endswith(". 🦊\n\n")
    restored = server.cli("unredact", "chat", "--mount", chat, stdin=redacted.stdout)
    assert (restored.returncode, restored.stdout) == (0, text)
