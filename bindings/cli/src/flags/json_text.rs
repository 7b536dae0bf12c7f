//! Changes a JSON file: only what is to change, order and indentation kept. JSON has no comments,
//! so who did it and why is kept for `shed` alone.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue as Input, CstObject, CstRootNode};

use super::change::{Change, Wanted};

/// The text, changed.
pub(super) fn change(text: &str, change: &Change) -> Result<String, String> {
    let root =
        CstRootNode::parse(text, &ParseOptions::default()).map_err(|error| error.to_string())?;
    let object = root.object_value_or_create().ok_or("this is no object")?;
    object.ensure_multiline();
    match change {
        Change::Enable { flag, value, .. } => enable(&object, flag, value)?,
        Change::Clear { flag } => clear(&object, flag),
        Change::Shed(shed) => {
            let mut entries = vec![("from".to_owned(), Input::Number(shed.from.to_string()))];
            for (key, value) in [("why", &shed.why), ("by", &shed.by), ("at", &shed.at)] {
                let value = value.as_ref().map(|value| Input::String(value.clone()));
                entries.extend(value.map(|value| (key.to_owned(), value)));
            }
            set(&object, "shed", Input::Object(entries));
        }
        Change::ShedNothing { .. } => {
            let entry = ("from".to_owned(), Input::String("none".to_owned()));
            set(&object, "shed", Input::Object(vec![entry]));
        }
        Change::ClearShed => {
            if let Some(shed) = object.get("shed") {
                shed.remove();
            }
        }
    }
    Ok(root.to_string())
}

fn set(object: &CstObject, key: &str, value: Input) {
    match object.get(key) {
        Some(property) => property.set_value(value),
        None => {
            object.append(key, value);
        }
    }
}

fn input(value: &Wanted) -> Input {
    match value {
        Wanted::Word(word) => Input::String(word.clone()),
        Wanted::Shares(shares) => Input::Object(
            shares
                .iter()
                .map(|(name, percent)| (name.clone(), Input::String(percent.clone())))
                .collect(),
        ),
    }
}

fn enable(object: &CstObject, flag: &str, value: &Wanted) -> Result<(), String> {
    let flags = object
        .object_value_or_create("flags")
        .ok_or("`flags` is no object")?;
    match flags.get(flag) {
        Some(property) => match property.object_value() {
            Some(table) => set(&table, "enabled", input(value)),
            None => property.set_value(input(value)),
        },
        None => {
            let entry = ("enabled".to_owned(), input(value));
            flags.append(flag, Input::Object(vec![entry]));
        }
    }
    Ok(())
}

fn clear(object: &CstObject, flag: &str) {
    let Some(flags) = object.object_value("flags") else {
        return;
    };
    let Some(property) = flags.get(flag) else {
        return;
    };
    let Some(table) = property.object_value() else {
        property.remove();
        return;
    };
    if let Some(enabled) = table.get("enabled") {
        enabled.remove();
    }
    if table.properties().is_empty() {
        property.remove();
    }
}
