use super::*;

const BODY: &str = concat!(
    r#"{"v":1,"stream":3,"seq":7,"time":"2026-01-31T12:00:00.000001Z","request_id":"0191e2c4-7a35-7c1b-9a44-3f5b7c1d2e3f","#,
    r#""account":"web","action":"decode","resource":"a\"b","decision":"granted","subject":"00ff","changes":["x","","y"],"#,
    r#""subjects":[{"subject":"aa","class":"ssn","count":12},{"subject":"bb","count":1}]}"#
);
const ID: [u8; 16] = 0x0191_e2c4_7a35_7c1b_9a44_3f5b_7c1d_2e3f_u128.to_be_bytes();

fn row() -> RawEntry<'static> {
    RawEntry {
        seq: 7,
        time: Some(1_769_860_800_000_001),
        request: Some(&ID),
        account: Some(b"web"),
        action: Some(b"decode"),
        resource: Some(b"a\"b"),
        decision: Some(b"granted"),
        subject: Some(&[0, 0xff]),
        change: Some(b"x\n\ny"),
        body: Some(BODY),
        mac: Some(&[1; 32]),
    }
}

fn names() -> Vec<RawName> {
    let time = Some(Timestamp::from_unix_micros(1_769_860_800_000_001).to_date());
    let name = |subject: u8, class: &str, count| RawName {
        seq: 7,
        subject: Some(vec![subject]),
        class: Some(class.to_owned()),
        count: Some(count),
        time,
    };
    vec![name(0xaa, "ssn", 12), name(0xbb, "", 1)]
}

fn holds(entry: &RawEntry<'_>, names: &[RawName], body: &str) -> bool {
    agrees(entry, names, &Columns::read(body).expect("body"))
}

#[test]
fn a_row_agrees_with_its_bytes_and_no_other_row_does() {
    assert!(holds(&row(), &names(), BODY));
    let others = [
        RawEntry { time: None, ..row() },
        RawEntry { time: Some(1_769_860_800_000_002), ..row() },
        RawEntry { request: None, ..row() },
        RawEntry { request: Some(&[0; 16]), ..row() },
        RawEntry { request: Some(&ID[1..]), ..row() },
        RawEntry { account: None, ..row() },
        RawEntry { account: Some(b""), ..row() },
        RawEntry { account: Some(b"web\xff"), ..row() },
        RawEntry { action: Some(b"encode"), ..row() },
        RawEntry { action: None, ..row() },
        RawEntry { resource: Some(b"a\\\"b"), ..row() },
        RawEntry { resource: None, ..row() },
        RawEntry { decision: Some(b"denied"), ..row() },
        RawEntry { decision: None, ..row() },
        RawEntry { subject: None, ..row() },
        RawEntry { subject: Some(&[]), ..row() },
        RawEntry { subject: Some(&[0]), ..row() },
        RawEntry { subject: Some(&[0, 0xff, 0]), ..row() },
        RawEntry { subject: Some(&[0, 0xfe]), ..row() },
        RawEntry { change: None, ..row() },
        RawEntry { change: Some(b""), ..row() },
        RawEntry { change: Some(b"x\ny"), ..row() },
        RawEntry { change: Some(b"x\n\ny\n"), ..row() },
        RawEntry { change: Some(b"x\n\nyz"), ..row() },
    ];
    for other in others {
        assert!(!holds(&other, &names(), BODY), "{other:?}");
    }
}

#[test]
fn what_is_absent_is_null() {
    let body = BODY.replace(r#","subject":"00ff""#, "").replace(r#","changes":["x","","y"]"#, "");
    assert!(holds(&RawEntry { subject: None, change: None, ..row() }, &names(), &body));
    assert!(!holds(&RawEntry { subject: None, ..row() }, &names(), &body));
    assert!(!holds(&RawEntry { change: None, ..row() }, &names(), &body));
    let nothing = BODY.replace(r#"["x","","y"]"#, "[]");
    assert!(holds(&RawEntry { change: Some(b""), ..row() }, &names(), &nothing));
    assert!(!holds(&RawEntry { change: Some(b"\n"), ..row() }, &names(), &nothing));
    let capitals = BODY.replace("00ff", "00FF");
    assert!(!holds(&row(), &names(), &capitals), "hexadecimal is lower case");
}

#[test]
fn names_agree_one_by_one() {
    let changed = |change: &dyn Fn(&mut Vec<RawName>)| {
        let mut names = names();
        change(&mut names);
        holds(&row(), &names, BODY)
    };
    assert!(changed(&|_| {}));
    assert!(!changed(&|names| names.swap(0, 1)));
    assert!(!changed(&|names| drop(names.pop())));
    assert!(!changed(&|names| names.push(names[1].clone())));
    assert!(!changed(&|names| names[0].subject = None));
    assert!(!changed(&|names| names[0].subject = Some(vec![0xab])));
    assert!(!changed(&|names| names[0].class = None));
    assert!(!changed(&|names| names[1].class = Some("ssn".to_owned())));
    assert!(!changed(&|names| names[0].count = None));
    assert!(!changed(&|names| names[0].count = Some(11)));
    assert!(!changed(&|names| names[1].time = None));
    assert!(!changed(&|names| names[1].time = Some(time::OffsetDateTime::UNIX_EPOCH)));
}
