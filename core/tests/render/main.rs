//! The table, and a profile in each of its forms.
//!
//! Golden files are in `tests/golden`; `UPDATE_GOLDEN=1 cargo test` writes them anew.

mod json;
mod mask;
mod profiles;
mod server_timing;
mod table;
mod text;
mod trace;

use std::path::PathBuf;

/// Compares with the committed file of that name.
fn assert_golden(name: &str, actual: &str) {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden"));
    let path = folder.join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(folder).expect("a folder for golden files");
        std::fs::write(&path, actual).expect("the golden file can be written");
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; UPDATE_GOLDEN=1 writes it", path.display()));
    let mut lines = (1..).zip(expected.lines().zip(actual.lines()));
    if let Some((number, (expected, actual))) = lines.find(|(_, (a, b))| a != b) {
        panic!("{name}:{number}\n  is   {actual:?}\n  want {expected:?}");
    }
    assert_eq!(actual.len(), expected.len(), "{name}: one is longer");
}
