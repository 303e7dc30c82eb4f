//! Makes sure that `ui/dist` exists, and nothing else, so that the crate compiles before the pages were built with
//! npm. An empty folder makes the router serve a plain page that says how to build them.

use std::path::Path;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui/dist");
    if !folder.is_dir()
        && let Err(error) = std::fs::create_dir_all(&folder)
    {
        println!("cargo:warning=cannot create {}: {error}", folder.display());
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", folder.display());
}
