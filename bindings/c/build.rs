//! Gives the shared library its soname, and the link of that name beside it, so that a program
//! linked against the build's folder also runs from there.

use std::path::Path;

const SONAME: &str = "libioprofiler.so.0";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{SONAME}");
    // …/target/PROFILE/build/PACKAGE-HASH/out
    let out = std::env::var_os("OUT_DIR").unwrap_or_default();
    if let Some(folder) = Path::new(&out).ancestors().nth(3) {
        // There already, or not to be had: then whoever installs makes it.
        let _ = std::os::unix::fs::symlink("libioprofiler.so", folder.join(SONAME));
    }
}
