//! The goldens of `test/protocol`, which the tests of `libs/native` read too.

use super::*;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// A golden file: its name and the one member it has.
struct Golden {
    name: String,
    kind: String,
    value: Value,
}

/// Gives the changed copies of one object.
type Change = dyn Fn(&Map<String, Value>) -> Vec<Map<String, Value>>;

fn goldens() -> Vec<Golden> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/protocol");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Golden {
    let text = std::fs::read_to_string(path).unwrap();
    let members: Map<String, Value> = serde_json::from_str(&text).unwrap();
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    assert_eq!(members.len(), 1, "{name} has one member");
    let (kind, value) = members.into_iter().next().unwrap();
    Golden { name, kind, value }
}

fn of_kind(kind: &str) -> Vec<Golden> {
    let found: Vec<Golden> = goldens().into_iter().filter(|golden| golden.kind == kind).collect();
    assert!(found.len() >= 10, "only {} goldens of kind {kind}", found.len());
    found
}

/// Asks as `main` does, with text: the order of members and doubled ones are seen.
fn accepts(envelope: &str) -> bool {
    Envelope::read(envelope).is_ok()
}

/// Calls `change` with a copy of `value` for each object in it, and gives every changed copy.
fn mutations(value: &Value, change: &Change) -> Vec<Value> {
    match value {
        Value::Object(members) => {
            let here = change(members).into_iter().map(Value::Object);
            let below = members.iter().flat_map(|(name, member)| {
                mutations(member, change).into_iter().map(move |changed| {
                    let mut copy = members.clone();
                    copy.insert(name.clone(), changed);
                    Value::Object(copy)
                })
            });
            here.chain(below).collect()
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(index, item)| {
                mutations(item, change).into_iter().map(move |changed| {
                    let mut copy = items.clone();
                    *copy.get_mut(index).unwrap() = changed;
                    Value::Array(copy)
                })
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Every mutation of every request golden must be refused.
fn assert_refused(change: &Change) {
    for golden in of_kind("envelope") {
        let changed = mutations(&golden.value, change);
        assert!(!changed.is_empty(), "{} was not changed", golden.name);
        for value in changed {
            assert!(!accepts(&value.to_string()), "{}: accepted {value}", golden.name);
        }
    }
}

#[test]
fn protocol_reads_and_writes_every_request_golden() {
    for golden in of_kind("envelope") {
        let envelope = Envelope::read(&golden.value.to_string()).unwrap();
        assert_eq!(serde_json::to_value(&envelope).unwrap(), golden.value, "{}", golden.name);
    }
}

#[test]
fn protocol_reads_and_writes_every_reply_golden() {
    for golden in of_kind("reply") {
        let reply: Reply = serde_json::from_str(&golden.value.to_string()).unwrap();
        assert_eq!(serde_json::to_value(&reply).unwrap(), golden.value, "{}", golden.name);
    }
}

#[test]
fn protocol_has_no_golden_of_another_kind() {
    for golden in goldens() {
        assert!(["envelope", "reply"].contains(&golden.kind.as_str()), "{}: {}", golden.name, golden.kind);
    }
}

#[test]
fn protocol_refuses_an_unknown_field_in_any_object() {
    assert_refused(&|members| {
        let mut copy = members.clone();
        copy.insert("surplus".to_owned(), json!(null));
        vec![copy]
    });
}

#[test]
fn protocol_refuses_a_missing_field_in_any_object() {
    assert_refused(&|members| {
        let without = |name: &String| {
            let mut copy = members.clone();
            copy.remove(name);
            copy
        };
        members.keys().map(without).collect()
    });
}

#[test]
fn protocol_refuses_an_unknown_tag() {
    let unknown = |members: &Map<String, Value>, tag: &str| {
        members.get(tag).map(|_| {
            let mut copy = members.clone();
            copy.insert(tag.to_owned(), json!("format"));
            copy
        })
    };
    assert_refused(&move |members| ["op", "kind"].iter().filter_map(|tag| unknown(members, tag)).collect());
}

/// BuildKit read an unknown security mode as one without any wall (GHSA-7236-3392-c5c6).
#[test]
fn run_09_protocol_refuses_every_value_of_an_enum_that_it_does_not_know() {
    const ENUMS: [&str; 7] = ["op", "kind", "network", "security", "protocol", "tool", "format"];
    let wrong = || {
        let numbers = [json!(-1), json!(0), json!(2), json!(255), json!(1_u64 << 31), json!(null), json!(true)];
        let texts = ["", "Insecure", "INSECURE", "insecure ", "insecur", "unconfined", "none\u{0}", "default", "2"];
        numbers.into_iter().chain(texts.map(|text| json!(text)))
    };
    assert_refused(&move |members| {
        let of = |name: &&str| members.get(*name).is_some_and(Value::is_string);
        let changed = |name: &str| {
            let name = name.to_owned();
            wrong().map(move |value| {
                let mut copy = members.clone();
                copy.insert(name.clone(), value);
                copy
            })
        };
        ENUMS.iter().filter(|name| of(name)).flat_map(|name| changed(name)).collect()
    });
}

#[test]
fn protocol_refuses_a_field_of_another_type() {
    assert_refused(&|members| {
        let retyped = |name: &String| {
            let mut copy = members.clone();
            copy.insert(name.clone(), json!({ "not": "this" }));
            copy
        };
        members.keys().map(retyped).collect()
    });
}

#[test]
fn protocol_refuses_a_doubled_field_or_tag() {
    for golden in of_kind("envelope") {
        let text = golden.value.to_string();
        let request = golden.value.get("request").and_then(Value::as_object).unwrap();
        for (name, value) in request {
            let member = format!("{}:{value}", json!(name));
            let doubled = text.replacen(&member, &format!("{member},{member}"), 1);
            assert_ne!(doubled, text, "{}: {name} was not doubled", golden.name);
            assert!(!accepts(&doubled), "{}: accepted {doubled}", golden.name);
        }
    }
}

#[test]
fn protocol_refuses_text_behind_the_request() {
    for golden in of_kind("envelope") {
        assert!(!accepts(&format!("{0} {0}", golden.value)), "{}", golden.name);
    }
}
