//! The main job; the story itself is told by `ringfort_tests::main_job`, which `make demo` shows.

use ringfort_tests::harness::{Outcome, play};
use ringfort_tests::main_job::tell;

#[test]
fn people_go_on_talking_when_the_cloud_is_lost() -> Outcome<()> {
    play("main-job", |scene| tell(scene, &mut |step, seen| println!("{step}: {seen}")))
}
