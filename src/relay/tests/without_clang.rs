//! A build on a machine without clang: the build script says what is left out, and does not say that it is there.

use std::path::{Path, PathBuf};
use std::process::Command;

const MEMBER: &str = env!("CARGO_MANIFEST_DIR");

/// The build script, compiled as cargo does.
fn compiled(folder: &Path) -> PathBuf {
    std::fs::create_dir_all(folder).expect("a folder of the test's own");
    let script = folder.join("build-script");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let source = Path::new(MEMBER).join("build.rs");
    let done = Command::new(rustc).args(["--edition", "2024"]).arg(source).arg("-o").arg(&script).status().expect("rustc");
    assert!(done.success(), "the build script compiles");
    script
}

/// What it tells cargo, and what it leaves.
fn run(name: &str, clang: &str) -> (Vec<String>, Vec<String>) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("without-clang-{name}-{}", std::process::id()));
    let script = compiled(&folder);
    let out = folder.join("out");
    std::fs::create_dir_all(&out).expect("a folder of the test's own");
    let done = Command::new(script)
        .current_dir(MEMBER)
        .env("OUT_DIR", &out)
        .env("CARGO_CFG_TARGET_ARCH", std::env::consts::ARCH)
        .env("RINGFORT_CLANG", clang)
        .output()
        .expect("the script runs");
    assert!(done.status.success(), "a build goes on: {done:?}");
    let told = String::from_utf8(done.stdout).expect("text").lines().map(String::from).collect();
    let left = std::fs::read_dir(&out).expect("the folder").map(|file| file.expect("a file").file_name());
    let mut left: Vec<String> = left.map(|name| name.to_string_lossy().into_owned()).collect();
    left.sort();
    std::fs::remove_dir_all(&folder).expect("what the test made");
    (told, left)
}

const PRESENT: &str = "cargo::rustc-cfg=ringfort_bpf";
const WARNING: &str = "cargo::warning=the kernel and AF_XDP tiers of the relay are left out: ";

#[test]
fn a_compiler_that_is_missing_is_named() {
    let (told, left) = run("missing", "/nonexistent");
    let warnings: Vec<_> = told.iter().filter_map(|line| line.strip_prefix(WARNING)).collect();
    assert!(matches!(warnings[..], [why] if why.starts_with("/nonexistent: No such file")), "{told:?}");
    assert!(!told.iter().any(|line| line == PRESENT) && left.is_empty(), "{told:?} {left:?}");
    assert!(told.iter().any(|line| line == "cargo::rerun-if-env-changed=RINGFORT_CLANG"), "it is tried again: {told:?}");
}

/// One that cannot make such programs, as an old clang is.
#[test]
fn a_compiler_that_fails_is_none() {
    let (told, _) = run("failing", "/bin/false");
    let warned = told.iter().any(|line| *line == format!("{WARNING}/bin/false: failed"));
    assert!(warned && !told.iter().any(|line| line == PRESENT), "{told:?}");
}

/// The other way round, so that the tests above see what they would miss.
#[test]
fn with_a_compiler_all_programs_are_made() {
    if !cfg!(ringfort_bpf) {
        println!("LEFT OUT: these tests themselves were built without clang");
        return;
    }
    let clang = std::env::var("RINGFORT_CLANG").unwrap_or_else(|_| "clang".into());
    let (told, left) = run("present", &clang);
    assert!(told.iter().any(|line| line == PRESENT) && !told.iter().any(|line| line.starts_with(WARNING)), "{told:?}");
    assert_eq!(left, ["forward.bpf.o", "frames.bpf.o"]);
}
