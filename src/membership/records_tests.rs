use super::*;
use proptest::prelude::*;
use serde_json::json;

const CONFIG: &str = r#"{"v":1,"ring":"crc32-mix64-v1","vnodes":1024,"copies":2,"db":0,"cache":false,"replace_after_ms":30000,"fence_wait_ms":150}"#;
const RING: &str = r#"{"v":1,"step":7,"phase":"still","serving":{"a":{"weight":100,"zone":"z"},"b":{"weight":50}},"next":{},"old":{},"members":{"a":3,"b":0},"created":{"b":9}}"#;
const MEMBER: &str = r#"{"v":1,"addr":"redis://10.0.0.1:6379","state":"up","gen":3,"run_id":"abc","closed":false,"reason":"r","by":"b","since":1}"#;
const LEAD: &str = r#"{"v":1,"id":"a","agent":"host:1 0.1.0"}"#;
const LIVE: &str = r#"{"v":1,"run_id":"abc","agent":"host:1 0.1.0","client_id":4,"sync":{"step":2,"gen":3,"fingerprint":"f","done":1,"total":2,"bytes":9,"caught_up":false,"rate":5,"cuts":["b"],"up":{"b":2},"void":false}}"#;

fn written(record: &impl Serialize) -> String {
    String::from_utf8(bytes(record).unwrap()).unwrap()
}

#[test]
fn the_records_of_the_contract_are_written_as_they_were_read() {
    assert_eq!(written(&ConfigRecord::parse(CONFIG.as_bytes()).unwrap()), CONFIG);
    assert_eq!(written(&RingRecord::parse(RING.as_bytes()).unwrap()), RING);
    assert_eq!(written(&MemberRecord::parse(MEMBER.as_bytes()).unwrap()), MEMBER);
    assert_eq!(written(&LiveRecord::parse(LIVE.as_bytes()).unwrap()), LIVE);
    assert_eq!(written(&LeadRecord::parse(LEAD.as_bytes()).unwrap()), LEAD);
    assert_eq!(written(&ConfigRecord::from(&Config::default())), CONFIG);
    assert_eq!(
        written(&RingRecord::founding(4)),
        r#"{"v":1,"step":0,"phase":"founding","founding":4,"serving":{},"next":{},"old":{},"members":{}}"#
    );
}

#[test]
fn a_config_of_another_ring_or_version_is_refused() {
    for (from, to, says) in [
        ("crc32-mix64-v1", "crc32-mix64-v2", "crc32-mix64-v2"),
        (r#""v":1"#, r#""v":2"#, "version 2"),
        (r#""v":1"#, r#""v":"x""#, "version"),
        (r#""vnodes":1024"#, r#""vnodes":0"#, "no vnodes"),
        (r#""vnodes":1024,"#, "", "lacks a field"),
        ("{", "{{", "JSON"),
    ] {
        let error = ConfigRecord::parse(CONFIG.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Membership);
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_ring_that_cannot_be_understood_is_an_error() {
    for (from, to, says) in [
        (r#""v":1"#, r#""v":9"#, "version 9"),
        ("still", "dancing", "dancing"),
        ("still", "founding", "founding"),
        (r#""a":{"weight""#, r#""a/b":{"weight""#, "a/b"),
        (r#""zone":"z""#, r#""zone":"z z""#, "z z"),
        ("}}", "", "cut short"),
    ] {
        let error = RingRecord::parse(RING.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Membership);
        assert!(error.to_string().contains(says), "{to}: {error}");
    }
}

#[test]
fn a_member_record_that_cannot_be_understood_says_why() {
    for (from, to, says) in [
        (r#""v":1"#, r#""v":2"#, "version 2"),
        (r#""up""#, r#""asleep""#, "asleep"),
        (r#""run_id":"abc""#, r#""run_id":"""#, "run_id"),
        ("redis://", "http://", "address"),
        ("10.0.0.1", "u:secret@10.0.0.1", "credentials"),
        (r#""gen":3"#, r#""gen":-3"#, "wrong type"),
    ] {
        let fault = MemberRecord::parse(MEMBER.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert!(fault.contains(says), "{fault}");
        assert!(!fault.contains("secret"), "{fault}");
    }
}

/// Fields that no version has had, of any shape.
fn unknown() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from)
    ];
    let value = leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,3}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect()))
        ]
    });
    prop::collection::btree_map("x_[a-z]{1,6}", value, 0..4).prop_map(|map| map.into_iter().collect())
}

proptest! {
    #[test]
    fn unknown_fields_survive_reading_and_writing(fields in unknown()) {
        for text in [CONFIG, RING, MEMBER, LIVE] {
            let mut whole: Value = serde_json::from_str(text).unwrap();
            whole.as_object_mut().unwrap().extend(fields.clone());
            let data = whole.to_string();
            let back = match text {
                CONFIG => written(&ConfigRecord::parse(data.as_bytes()).unwrap()),
                RING => written(&RingRecord::parse(data.as_bytes()).unwrap()),
                MEMBER => written(&MemberRecord::parse(data.as_bytes()).unwrap()),
                _ => written(&LiveRecord::parse(data.as_bytes()).unwrap()),
            };
            prop_assert_eq!(serde_json::from_str::<Value>(&back).unwrap(), whole);
        }
    }

    #[test]
    fn no_bytes_make_a_parser_panic(data in prop::collection::vec(any::<u8>(), 0..64), at in 0usize..160, byte in any::<u8>()) {
        for text in [CONFIG, RING, MEMBER, LIVE] {
            // Random bytes, a record cut short, and a record with one byte changed.
            let mut changed = text.as_bytes().to_vec();
            let at = at.min(changed.len() - 1);
            changed[at] = byte;
            for data in [&data[..], &text.as_bytes()[..at], &changed[..]] {
                let _ = ConfigRecord::parse(data);
                let _ = RingRecord::parse(data);
                let _ = MemberRecord::parse(data);
                let _ = LiveRecord::parse(data);
            }
        }
    }
}

#[test]
fn a_place_keeps_its_unknown_fields_too() {
    let text = RING.replace(r#""weight":50"#, r#""weight":50,"rack":{"row":1}"#);
    let ring = RingRecord::parse(text.as_bytes()).unwrap();
    assert_eq!(ring.serving["b"].rest["rack"], json!({"row": 1}));
    assert_eq!(written(&ring), text);
}
