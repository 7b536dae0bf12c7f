//! The configuration as an object of JSON → as TOML, so that there is one reader.

use crate::flags::file::shown;
use serde_json::Value;

/// Deeper, no configuration is.
const MAX_DEPTH: usize = 8;

/// A line for each key of the object.
pub(super) fn to_toml(json: &str) -> Result<String, String> {
    let value: Value =
        serde_json::from_str(json).map_err(|error| format!("cannot be read as JSON: {error}"))?;
    let Value::Object(object) = value else {
        return Err("an object is wanted, with the keys of the file".to_owned());
    };
    let mut toml = String::new();
    for (key, value) in object.iter().filter(|(_, value)| !value.is_null()) {
        write_text(&mut toml, key);
        toml.push_str(" = ");
        write(&mut toml, value, MAX_DEPTH).map_err(|why| format!("{}: {why}", shown(key)))?;
        toml.push('\n');
    }
    Ok(toml)
}

fn write(toml: &mut String, value: &Value, depth: usize) -> Result<(), &'static str> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err("too deep; no option has so many levels");
    };
    match value {
        Value::Null => return Err("nothing in a list, where a text or a table is wanted"),
        Value::Bool(yes) => toml.push_str(if *yes { "true" } else { "false" }),
        Value::Number(number) => toml.push_str(&number.to_string()),
        Value::String(text) => write_text(toml, text),
        Value::Array(items) => {
            toml.push('[');
            for (place, item) in items.iter().enumerate() {
                toml.push_str(if place == 0 { "" } else { ", " });
                write(toml, item, depth)?;
            }
            toml.push(']');
        }
        Value::Object(object) => {
            toml.push('{');
            let said = object.iter().filter(|(_, value)| !value.is_null());
            for (place, (key, value)) in said.enumerate() {
                toml.push_str(if place == 0 { " " } else { ", " });
                write_text(toml, key);
                toml.push_str(" = ");
                write(toml, value, depth)?;
            }
            toml.push_str(" }");
        }
    }
    Ok(())
}

/// In quotes. Escapes of JSON are some of TOML's, which wants one more of them.
fn write_text(toml: &mut String, text: &str) {
    let quoted = Value::from(text).to_string();
    toml.push_str(&quoted.replace('\u{7f}', "\\u007f"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use toml::de::{DeTable, DeValue};

    #[test]
    fn tables_lists_and_texts_are_written_in_place() {
        let json = r#"{"keep": {"slowest": 3, "details": null}, "metrics": true, "stuck_after": 1.5,
            "webhook": [{"url": "http://a/", "on": ["deploy"]}, {"url": "http://b/"}], "worker": null}"#;
        let toml = r#""keep" = { "slowest" = 3 }
"metrics" = true
"stuck_after" = 1.5
"webhook" = [{ "on" = ["deploy"], "url" = "http://a/" }, { "url" = "http://b/" }]
"#;
        assert_eq!(to_toml(json).unwrap(), toml);
    }

    #[test]
    fn what_is_no_such_object_is_refused() {
        for (json, why) in [
            ("[]", "an object is wanted, with the keys of the file"),
            ("null", "an object is wanted, with the keys of the file"),
            (
                r#"{"a": [null]}"#,
                "a: nothing in a list, where a text or a table is wanted",
            ),
            (
                r#"{"a": [[[[[[[[1]]]]]]]]}"#,
                "a: too deep; no option has so many levels",
            ),
        ] {
            assert_eq!(to_toml(json).unwrap_err(), why, "{json}");
        }
        assert!(
            to_toml("{")
                .unwrap_err()
                .starts_with("cannot be read as JSON: ")
        );
    }

    proptest! {
        #[test]
        fn any_text_comes_through_as_it_is(key in ".*", text in any::<String>()) {
            let json = serde_json::json!({ key.clone(): { "text": text } }).to_string();
            let toml = to_toml(&json).unwrap();
            let tree = DeTable::parse(&toml).unwrap();
            let table = tree.get_ref().get(&*key).unwrap().get_ref();
            let DeValue::Table(table) = table else { panic!("{toml}") };
            let DeValue::String(read) = table.get("text").unwrap().get_ref() else { panic!("{toml}") };
            prop_assert_eq!(&**read, text);
        }
    }
}
