//! What is found in texts and what is not. Every person in here is made up; numbers are published examples, or were never given out.

use super::recognise::{Class, recognise};
use super::spans::without_overlaps;

/// What is found, as `class:text`, the overlaps resolved.
fn found(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    without_overlaps(recognise(&letters, &Class::ALL), &letters)
        .into_iter()
        .map(|span| format!("{}:{}", span.class, letters[span.start..span.end].iter().collect::<String>()))
        .collect()
}

fn finds(rows: &[(&str, &[&str])]) {
    for (text, expected) in rows {
        assert_eq!(&found(text), expected, "{text}");
    }
}

fn finds_nothing(texts: &[&str]) {
    for text in texts {
        assert_eq!(found(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn social_security_numbers() {
    finds(&[
        ("My SSN is 078-05-1120.", &["ssn:078-05-1120"]),
        ("078-05-1120", &["ssn:078-05-1120"]),
        ("SSN078-05-1120", &["ssn:078-05-1120"]),
        ("(078 05 1120)", &["ssn:078 05 1120"]),
        ("078.05.1120,", &["ssn:078.05.1120"]),
        ("078\u{2011}05\u{2011}1120", &["ssn:078\u{2011}05\u{2011}1120"]),
        ("078\u{2013}05\u{2013}1120", &["ssn:078\u{2013}05\u{2013}1120"]),
        ("078 - 05 - 1120", &["ssn:078 - 05 - 1120"]),
        ("078\u{a0}05\u{a0}1120", &["ssn:078\u{a0}05\u{a0}1120"]),
        ("\u{202a}078\u{200b}-\u{200b}05\u{2060}-1120\u{202c}", &["ssn:078\u{200b}-\u{200b}05\u{2060}-1120"]),
        ("social: 078051120", &["ssn:078051120"]),
        ("078051120", &["ssn:078051120"]),
        ("０７８-０５-１１２０", &["ssn:０７８-０５-１１２０"]),
        ("{\"ssn\":\"078-05-1120\"}", &["ssn:078-05-1120"]),
        ("**078-05-1120**, _219-09-9999_", &["ssn:078-05-1120", "ssn:219-09-9999"]),
        ("我的号码078-05-1120在这里", &["ssn:078-05-1120"]),
        ("رقمي 078-05-1120 فقط", &["ssn:078-05-1120"]),
        ("078-05-1120-00 with its payee code", &["ssn:078-05-1120"]),
        ("078-05-1120P", &["ssn:078-05-1120"]),
        ("my SSN (mistyped): 987-65-4321", &["ssn:987-65-4321"]),
        ("room 12 078 05 1120", &["ssn:078 05 1120"]),
    ]);
    finds_nothing(&[
        "000-12-3456",
        "666-12-3456",
        "900-12-3456",
        "987-65-4321",
        "078-00-1120",
        "078-05-0000",
        "1-078-05-1120",
        "078-05-1120-4471",
        "078-051-120",
        "078-05 1120",
        "078-05-112",
        "A078051120",
        "id_078051120",
        "078051120_id",
        "0780511201",
        "666123456",
        "078\n05\n1120",
    ]);
}

#[test]
fn payment_cards() {
    finds(&[
        ("4111 1111 1111 1111", &["credit_card:4111 1111 1111 1111"]),
        ("4111-1111-1111-1111 exp 12/27", &["credit_card:4111-1111-1111-1111"]),
        ("card 4111111111111111.", &["credit_card:4111111111111111"]),
        ("378282246310005", &["credit_card:378282246310005"]),
        ("3782 822463 10005", &["credit_card:3782 822463 10005"]),
        ("5555555555554444", &["credit_card:5555555555554444"]),
        ("2223003122003222", &["credit_card:2223003122003222"]),
        ("6011 1111 1111 1117 2027", &["credit_card:6011 1111 1111 1117"]),
        ("_4111111111111111_", &["credit_card:4111111111111111"]),
        ("30569309025904", &["credit_card:30569309025904"]),
        ("4222222222222", &["credit_card:4222222222222"]),
    ]);
    finds_nothing(&[
        "4111 1111 1111 1112",
        "4111111111111112",
        "0000 0000 0000 0000",
        "1111111111111117",
        "x4111111111111111",
        "4111111111111111x",
        "41111111111111111111111",
        "4111.1111.1111.1111",
        "9-4111-1111-1111-1111",
    ]);
}

#[test]
fn phone_numbers() {
    finds(&[
        ("202-555-0142", &["phone:202-555-0142"]),
        ("(202) 555-0142", &["phone:(202) 555-0142"]),
        ("(202)555-0142", &["phone:(202)555-0142"]),
        ("(202)5550142", &["phone:(202)5550142"]),
        ("202.555.0142", &["phone:202.555.0142"]),
        ("202 555 0142", &["phone:202 555 0142"]),
        ("202 555-0142", &["phone:202 555-0142"]),
        ("+1 202 555 0142", &["phone:+1 202 555 0142"]),
        ("+1 (202) 555-0142!", &["phone:+1 (202) 555-0142"]),
        ("1-202-555-0142", &["phone:1-202-555-0142"]),
        ("+12025550142", &["phone:+12025550142"]),
        ("tel:2025550142", &["phone:2025550142"]),
        ("__2025550142__", &["phone:2025550142"]),
        ("2025550142", &["phone:2025550142"]),
        ("202-555-0142 ext. 17", &["phone:202-555-0142 ext. 17"]),
        ("202-555-0142x1234", &["phone:202-555-0142x1234"]),
        ("call 555-0142 please", &["phone:555-0142"]),
        ("555-0142 is my cell", &["phone:555-0142"]),
        ("202-555-0142, 202-555-0143", &["phone:202-555-0142", "phone:202-555-0143"]),
        ("202\u{2011}555\u{2011}0142", &["phone:202\u{2011}555\u{2011}0142"]),
    ]);
    finds_nothing(&[
        "102-555-0142",
        "202-155-0142",
        "911-555-0142",
        "202-911-0142",
        "290-555-0142",
        "555-0142",
        "call 055-0142",
        "202-555-01422",
        "9-202-555-0142",
        "202-555-0142kg",
        "1.202.555",
        "v202555014",
    ]);
}

#[test]
fn email_addresses() {
    finds(&[
        ("synthetic.person@example.com", &["email:synthetic.person@example.com"]),
        ("<a+b_c@mail.example.org>", &["email:a+b_c@mail.example.org"]),
        ("write to a@example.com.", &["email:a@example.com"]),
        ("mailto:a@example.com?subject=x", &["email:a@example.com"]),
        ("*a@example.com*, `b@example.com`, _c@example.com_", &["email:a@example.com", "email:b@example.com", "email:c@example.com"]),
        ("https://example.com/?q=a@example.com", &["email:a@example.com"]),
        ("{\"email\":\"a@example.com\"}", &["email:a@example.com"]),
        ("jörg@exämple.de", &["email:jörg@exämple.de"]),
        ("a@xn--exmple-cua.xn--p1ai", &["email:a@xn--exmple-cua.xn--p1ai"]),
        ("邮箱a@example.com是", &["email:a@example.com"]),
        ("o'brien@example.com", &["email:o'brien@example.com"]),
        ("'a@example.com'", &["email:a@example.com"]),
        ("a@example.co.uk", &["email:a@example.co.uk"]),
        ("a@example.com.1", &["email:a@example.com"]),
    ]);
    finds_nothing(&["@example.com", "a@", "a@b", "a@localhost", "a@.com", "a@-x.com", "a @example.com", "a@1.2", "@@@@", "a@example.c"]);
}

#[test]
fn dates_of_birth() {
    let ways = [
        "03/14/1951",
        "3/14/51",
        "03-14-1951",
        "14.03.1951",
        "1951-03-14",
        "1951/3/14",
        "03 14 1951",
        "03 / 14 / 1951",
        "03141951",
        "19510314",
        "March 14, 1951",
        "Mar. 14th 1951",
        "march 14 1951",
        "14 March 1951",
        "14-MAR-1951",
        "14th of March, 1951",
        "Sept 3, 1951",
        "14MAR1951",
    ];
    for date in ways {
        for text in [format!("DOB: {date}"), format!("born on {date}."), format!("D.O.B. {date};"), format!("{date} is my birthday")] {
            assert_eq!(found(&text), [format!("dob:{date}")], "{text}");
        }
    }
    finds(&[
        ("My birth date is 1951-03-14, and I was discharged 1975-06-01.", &["dob:1951-03-14"]),
        ("Our birthdays are 03/14/1951 and 02/02/1953", &["dob:03/14/1951", "dob:02/02/1953"]),
        ("\"birthDate\": \"1951-03-14T00:00:00Z\"", &["dob:1951-03-14"]),
    ]);
    finds_nothing(&[
        "03/14/1951",
        "discharged 03/14/1951",
        "born 13/32/1951",
        "born 00/14/1951",
        "born 03/14/1751",
        "born 1951-03-14-7",
        "born in 1951",
        "born 3/14/195",
        "born 3/14-1951",
        "born May 41, 1951",
        "born Foo 14, 1951",
        "born 1234567",
        "the appointment is on March 14, 1951",
    ]);
}

#[test]
fn zip_codes() {
    finds(&[
        ("zip 20420", &["zip:20420"]),
        ("ZIP code: 20420-0001.", &["zip:20420-0001"]),
        ("Washington, DC 20420", &["zip:20420"]),
        ("Austin, TX, 78701-1234", &["zip:78701-1234"]),
        ("78701 is the postal code", &["zip:78701"]),
    ]);
    finds_nothing(&["20420", "20420-0001", "zip 2042", "zip 204200", "zip A20420", "Tx 78701", "XTX 78701", "1-20420 zip"]);
}

#[test]
fn numbers_of_the_va_and_the_department_of_defense() {
    finds(&[
        ("VA file number 12345678", &["va_file_number:12345678"]),
        ("c-file C12345678", &["va_file_number:C12345678"]),
        ("C-file: C-12345678", &["va_file_number:C-12345678"]),
        ("claim number XC12345678", &["va_file_number:XC12345678"]),
        ("file no. 12 345 678", &["va_file_number:12 345 678"]),
        ("VA file number: 900123456", &["va_file_number:900123456"]),
        ("vaFileNumber=12345678", &["va_file_number:12345678"]),
        ("EDIPI 1234567890", &["edipi:1234567890"]),
        ("_EDIPI_ _1234567890_", &["edipi:1234567890"]),
        ("_1012345678V123456_", &["icn:1012345678V123456"]),
        ("DoD ID: 2025550142", &["edipi:2025550142"]),
        ("1234567890 (EDIPI)", &["edipi:1234567890"]),
        ("My phone is 2025550142 and EDIPI 2025550143", &["phone:2025550142", "edipi:2025550143"]),
        ("EDIPI and file number: 1234567890, 12345678", &["edipi:1234567890", "va_file_number:12345678"]),
        ("ICN 1012345678V123456", &["icn:1012345678V123456"]),
        ("1012345678V123456^NI^200M^USVHA", &["icn:1012345678V123456"]),
        ("0000001012345678V123456000000", &["icn:0000001012345678V123456000000"]),
    ]);
    finds_nothing(&[
        "12345678",
        "C12345678",
        "file 1234567",
        "file AB12345678",
        "1234567890",
        "EDIPI 123456789a",
        "EDIPI 0123456789",
        "101234567V123456",
        "1012345678V12345",
        "1012345678V1234567",
        "A1012345678V123456",
        "1012345678X123456",
    ]);
}

#[test]
fn what_is_no_personal_data_is_left() {
    finds_nothing(&[
        "",
        "The rating went from 30 % to 70 % in 2019.",
        "See 38 CFR 3.303 and 38 U.S.C. 1110.",
        "version 1.2.3.4, build 20261121",
        "$1,234,567.89 in 12 payments of 102,880.65",
        "2026-11-21T06:44:24.123456Z",
        "192.168.10.1:8200",
        "550e8400-e29b-41d4-a716-446655440000",
        "pii_4Qv9mZb1078051120b7Xk2Lw8cR5tYu1P2025550142",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ]);
}

#[test]
fn classes_can_be_chosen() {
    let letters: Vec<char> = "078-05-1120 a@example.com".chars().collect();
    let of = |classes: &[Class]| recognise(&letters, classes).into_iter().map(|span| span.class).collect::<Vec<_>>();
    assert_eq!(of(&[Class::Email]), ["email"]);
    assert_eq!(of(&[]), Vec::<String>::new());
    assert_eq!(Class::ALL.map(Class::name).map(Class::from_name), Class::ALL.map(Some));
}

#[test]
fn hostile_texts_cost_no_more_than_others() {
    let size = 1 << 17;
    for piece in
        ["1", "1 ", "1-", "12-", "a@", "@", "a.", "(1)", "_", "May ", "1/", "123-45-", "4111 ", "x@a.", "ssn ", "\\_", "+1 (", "C1"]
    {
        let letters: Vec<char> = piece.repeat(size / piece.len()).chars().collect();
        // A quadratic search of this would take minutes.
        without_overlaps(recognise(&letters, &Class::ALL), &letters);
    }
}
