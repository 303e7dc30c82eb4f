//! Compiles the kernel's programs. A build without clang leaves them out and says so; the relay then says at run time why nothing is
//! carried by the kernel, or steered past its sockets.

use std::env;
use std::path::PathBuf;
use std::process::Command;

const PROGRAMS: [&str; 2] = ["forward", "frames"];

fn main() {
    for header in ["common", "passages"] {
        println!("cargo::rerun-if-changed=bpf/{header}.h");
    }
    for program in PROGRAMS {
        println!("cargo::rerun-if-changed=bpf/{program}.bpf.c");
    }
    println!("cargo::rerun-if-env-changed=RINGFORT_CLANG");
    println!("cargo::rustc-check-cfg=cfg(ringfort_bpf)");
    match PROGRAMS.into_iter().try_for_each(compile) {
        Ok(()) => println!("cargo::rustc-cfg=ringfort_bpf"),
        Err(why) => println!("cargo::warning=the kernel and AF_XDP tiers of the relay are left out: {why}"),
    }
}

/// Leaves a program's object beside what cargo makes. `RINGFORT_CLANG` names another compiler, or one that does not exist.
fn compile(program: &str) -> Result<(), String> {
    let clang = env::var("RINGFORT_CLANG").unwrap_or_else(|_| "clang".into());
    let object = PathBuf::from(env::var("OUT_DIR").map_err(|e| e.to_string())?).join(format!("{program}.bpf.o"));
    let mut command = Command::new(&clang);
    command.args(["-O2", "-g", "-Wall", "-target", "bpf"]);
    // Debian keeps the kernel's headers of an architecture apart.
    if let Ok(architecture) = env::var("CARGO_CFG_TARGET_ARCH") {
        command.arg(format!("-I/usr/include/{architecture}-linux-gnu"));
    }
    let done = command
        .arg("-c")
        .arg(format!("bpf/{program}.bpf.c"))
        .arg("-o")
        .arg(&object)
        .output()
        .map_err(|e| format!("{clang}: {e}"))?;
    if done.status.success() {
        Ok(())
    } else {
        let first = String::from_utf8_lossy(&done.stderr);
        Err(format!("{clang}: {}", first.lines().next().unwrap_or("failed")))
    }
}
