//! What the tests of the whole node stand on. The tests themselves are the test binaries beside this file: `live` (real
//! peers), `sim` (virtual clock and network) and `style` (house rules). Read [`harness`] first.

pub mod harness;
pub mod main_job;
