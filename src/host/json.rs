//! Small JSON files, read as Go's `encoding/json` reads them into structures: keys in any case,
//! unknown ones passed over, and `null` for what is not there.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Root;
use crate::collector::{Error, Result};

/// What a file below `root` holds; the fields of `T` have lower-case names and defaults.
pub fn read<T: DeserializeOwned>(root: &Root, path: &str, buffer: &mut Vec<u8>) -> Result<T> {
    let text = root.read_once(path, buffer)?;
    let parsed = serde_json::from_str(&String::from_utf8_lossy(text.bytes));
    parsed
        .and_then(|value| serde_json::from_value(plain(value)))
        .map_err(|error| Error::failed(format!("{path}: {error}")))
}

fn plain(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(fields.map(|(key, value)| (key.to_lowercase(), plain(value))).collect())
        }
        Value::Array(values) => {
            let or_empty = |value| match value {
                Value::Null => Value::Object(serde_json::Map::new()),
                value => plain(value),
            };
            Value::Array(values.into_iter().map(or_empty).collect())
        }
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Item {
        name: String,
        count: u32,
    }

    #[test]
    fn keys_in_any_case_nulls_and_errors() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path());
        let item = |name: &str, count| Item { name: name.into(), count };
        for (text, expected) in [
            ("[]", Ok(vec![])),
            (
                r#"[{"Name": "a", "COUNT": 7, "more": {"x": []}}, null, {"name": null}]"#,
                Ok(vec![item("a", 7), item("", 0), item("", 0)]),
            ),
            (r#"[{"count": 1.5}]"#, Err("items.json: invalid type")),
            (r#"[{"count": -1}]"#, Err("items.json: invalid value")),
            (r#"[{"count": 4294967296}]"#, Err("items.json: invalid value")),
            (r#"[{"name": 1}]"#, Err("items.json: invalid type")),
            ("[] []", Err("items.json: trailing characters")),
            ("[{", Err("items.json: EOF")),
            ("", Err("items.json: EOF")),
        ] {
            std::fs::write(directory.path().join("items.json"), text).unwrap();
            let items = read::<Vec<Item>>(&root, "items.json", &mut Vec::new());
            match (items, expected) {
                (Ok(items), Ok(expected)) => assert_eq!(items, expected, "{text}"),
                (Err(error), Err(start)) => {
                    assert!(error.to_string().starts_with(start), "{text}: {error}");
                }
                (items, _) => panic!("{text}: {items:?}"),
            }
        }
        assert!(read::<Vec<Item>>(&root, "none.json", &mut Vec::new()).unwrap_err().is_absent());
    }
}
