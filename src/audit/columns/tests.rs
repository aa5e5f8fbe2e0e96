use super::*;

const PLAIN: &str = concat!(
    r#"{"v":1,"stream":3,"seq":47,"time":"2026-01-31T12:00:00.000001Z","request_id":"0191e2c4-7a35-7c1b-9a44-3f5b7c1d2e3f","kind":"request","#,
    r#""account":"ä☃","peer":"192.0.2.17","action":"decode","resource":"Transformation:transform/ssn","decision":"granted","#,
    r#""policies":["a#b","c"],"status":200,"subject":"00ff","deep":[{"a":[{"b":null}]},true,[],7],"changes":["x","y"],"#,
    r#""subjects":[{"subject":"aa","class":"ssn","count":12},{"subject":"bb","count":1}],"latency_us":0}"#
);

#[test]
fn the_plain_form_is_read_quickly() {
    let read = quickly(PLAIN).expect("plain");
    assert_eq!(Some(&read), completely(PLAIN).as_ref());
    assert_eq!((read.stream, read.seq, read.time), (3, 47, Timestamp::from_rfc3339("2026-01-31T12:00:00.000001Z").expect("time")));
    assert_eq!((&*read.account, read.subject.as_deref()), ("ä☃", Some("00ff")));
    assert_eq!(read.changes, Some(vec![Cow::Borrowed("x"), Cow::Borrowed("y")]));
    assert_eq!(read.subjects.len(), 2);
    assert!(matches!(read.resource, Cow::Borrowed(_)));
}

/// Whatever one byte becomes, one is missing or one too many: the quick reading says the same as the complete one, or nothing.
#[test]
fn the_quick_reading_never_accepts_more() {
    let mut quick = 0;
    let mut compare = |bytes: Vec<u8>| {
        let Ok(text) = String::from_utf8(bytes) else { return };
        if let Some(read) = quickly(&text) {
            quick += 1;
            assert_eq!(Some(read), completely(&text), "{text}");
        }
    };
    let characters = b" \t\n\"\\{}[],:0129-+.eEntfuax\x7f\x01";
    for at in 0..PLAIN.len() {
        for character in characters {
            let mut changed = PLAIN.as_bytes().to_vec();
            changed[at] = *character;
            compare(changed.clone());
            changed.insert(at, *character);
            compare(changed);
        }
        let mut changed = PLAIN.as_bytes().to_vec();
        changed.remove(at);
        compare(changed);
        compare(PLAIN.as_bytes()[..at].to_vec());
    }
    for (from, to) in [("\"count\":12", "\"count\":-12"), ("\"seq\":47", "\"seq\":047"), ("\"seq\":47", "\"seq\":4.7e1")] {
        compare(PLAIN.replace(from, to).into_bytes());
    }
    assert!(quick > 1000, "{quick}");
}

#[test]
fn what_the_format_says_can_be_read() {
    let read = |from: &str, to: &str| Columns::read(&PLAIN.replace(from, to)).map(|read| (read.action.into_owned(), read.subjects.len()));
    let same = Some(("decode".to_owned(), 2));
    for (from, to) in [
        ("\"action\":\"decode\"", "\"action\":\"d\\u0065code\""),
        ("\"action\":\"decode\"", " \"action\" : \"decode\" "),
        ("\"subject\":\"00ff\"", "\"subject\":null"),
        ("\"changes\":[\"x\",\"y\"]", "\"changes\":null"),
        ("\"kind\":\"request\"", "\"kind\":\"\\ud800\",\"kind\":-1.5e300"),
        ("\"count\":12", "\"count\":12,\"more\":[1]"),
        ("{\"subject\":\"bb\",\"count\":1}", "{\"subject\":\"bb\",\"class\":null,\"count\":-1}"),
    ] {
        assert_eq!(read(from, to), same, "{to}");
    }
    for (from, to) in [
        ("\"v\":1", "\"v\":2"),
        ("\"v\":1", "\"v\":1.0"),
        ("\"v\":1", "\"v\":1,\"v\":1"),
        ("\"stream\":3", "\"stream\":3000000000"),
        ("\"action\":\"decode\"", "\"action\":null"),
        ("\"action\":\"decode\"", "\"action\":\"decode\",\"action\":\"decode\""),
        ("\"changes\":[\"x\",\"y\"]", "\"changes\":[\"x\",1]"),
        ("\"time\":\"2026-01-31", "\"time\":\"2026-02-30"),
        ("\"count\":12", "\"count\":1.5"),
        ("\"count\":12", "\"count\":12,\"count\":12"),
        ("{\"subject\":\"bb\",\"count\":1}", "[\"bb\",null,1]"),
        ("{\"subject\":\"bb\",\"count\":1}", "{\"subject\":\"bb\"}"),
        ("{\"v\"", "[{\"v\""),
    ] {
        assert_eq!(read(from, to), None, "{to}");
    }
    assert_eq!(
        Columns::read(r#"[1,3,47,"2026-01-31T12:00:00.000001Z","r","a","b","c","granted",null,null,null]"#),
        None,
        "a list is no entry"
    );
}
