//! `make demo`: the main job, step by step, with a verdict.

use ringfort_tests::harness::{Context, Outcome, Scene};
use ringfort_tests::main_job::tell;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    println!("\nRingfort, the main job: a browser, a trunk, a desk phone, and a cloud that is lost and found again.\n");
    let begun = Instant::now();
    let told = show(begun);
    let took = begun.elapsed().as_secs_f64();
    match told {
        Ok(steps) => {
            println!("\n{} {steps} steps in {took:.0} s. Nobody was cut off.\n", paint("PASSED", 32));
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("  {} {failure}", paint("✗", 31));
            println!("\n{} after {took:.0} s.\n", paint("FAILED", 31));
            ExitCode::FAILURE
        }
    }
}

/// Tells the story; how many steps it had.
fn show(begun: Instant) -> Outcome<u32> {
    let scene = Scene::new("demo")?;
    let mut steps = 0;
    let told = tell(&scene, &mut |step, seen| {
        steps += 1;
        println!("  {} {:5.1} s  {step}\n             {}", paint("✓", 32), begun.elapsed().as_secs_f64(), paint(seen, 2));
    });
    told.map(|()| steps).during(format_args!("{} tells more", scene.folder().display()))
}

/// Colours are for people, not for files.
fn paint(text: &str, code: u8) -> String {
    if std::io::stdout().is_terminal() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
}
