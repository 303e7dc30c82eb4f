//! CPU over flows, up to the knee: where packets are lost, or the machine has no time left to send them.

use super::calls::Load;
use super::subject::Subject;
use super::{Figures, Options, Run};
use crate::namespaces::Link;
use crate::picture::{Line, svg};
use crate::report::{Row, Table};
use std::io;
use std::path::Path;

/// Packets a second of a flow.
const PACE: u64 = 50;
/// First flows, and by how much each step is larger.
const FIRST: usize = 100;
const GROWTH: f64 = 1.5;
/// The pictures.
const PLAIN: &str = "curve.svg";
const SECURED: &str = "curve-srtp.svg";

/// A point: flows, what they cost, and whether all was carried.
struct Point {
    flows: usize,
    cores: f64,
    lost: f64,
    carried: bool,
}

/// Measures every subject and draws the picture into `folder`.
pub fn table(link: &Link, options: &Options, load: Load, subjects: &[Subject], folder: &Path) -> io::Result<Table> {
    let mut flows: Vec<usize> = std::iter::successors(Some(FIRST), |flows| Some((*flows as f64 * GROWTH) as usize))
        .take_while(|flows| *flows < options.flows)
        .collect();
    flows.push(options.flows);
    // What the sender alone costs is the same beside all of them.
    let alone =
        flows.iter().map(|flows| figures(link, options, load, Subject::Nobody, *flows)).collect::<io::Result<Vec<_>>>()?;
    let (mut rows, mut lines, mut ends) = (Vec::new(), Vec::new(), String::new());
    for subject in subjects {
        let (points, end) = points(link, options, load, *subject, &flows, &alone);
        if let Some(error) = end {
            ends.push_str(&format!(" {} went no further: {error}.", subject.name()));
        }
        for Point { flows, cores, lost, carried } in &points {
            let note = if *carried { "" } else { ", beyond the knee" };
            let values = vec![*cores, 100.0 * lost, cores * 1e6 / (*flows as f64 * PACE as f64)];
            rows.push(Row { case: format!("{}: {flows} flows{note}", subject.name()), values });
        }
        let points = points.iter().map(|point| (point.flows as f64, point.cores, point.carried)).collect();
        lines.push(Line { name: subject.name().into(), points });
    }
    std::fs::create_dir_all(folder)?;
    let file = if load == Load::Plain { PLAIN } else { SECURED };
    let title = format!("CPU over flows, {}; hollow: packets were lost, or could not be sent", load.name());
    std::fs::write(
        folder.join(file),
        svg(&title, "flows, 50 packets a second each", "cores, whole system less the sender", &lines),
    )?;
    Ok(Table {
        title: format!("The curve, {}", load.name()),
        method: format!(
            "![CPU over flows]({file})\n\nFlows of {PACE} packets a second, one direction, {} s each; the machine sends, too, and so has no more to \
             give beyond the knee. Cores: whole system, less what the sender alone costs. The knee: more than 1 packet in 1,000 lost, or the sender \
             more than 2 % behind.{ends}",
            options.seconds
        ),
        columns: ["cores", "lost, %", "µs a packet"].map(String::from).to_vec(),
        rows,
    })
}

/// The points of one subject, and what kept it from going on.
fn points(
    link: &Link,
    options: &Options,
    load: Load,
    subject: Subject,
    flows: &[usize],
    alone: &[Figures],
) -> (Vec<Point>, Option<io::Error>) {
    let mut points = Vec::new();
    for (flows, alone) in flows.iter().zip(alone) {
        let judged = |found: &Figures| found.lost <= 0.001 && found.sent >= 0.98;
        let measured = figures(link, options, load, subject, *flows).and_then(|found| match judged(&found) {
            true => Ok(found),
            // Something else may have needed the machine just then.
            false => figures(link, options, load, subject, *flows),
        });
        let found = match measured {
            Ok(found) => found,
            Err(error) => return (points, Some(error)),
        };
        let sent = *flows as f64 * PACE as f64 * found.sent;
        let cores = (found.whole_us - alone.whole_us).max(0.0) * sent / 1e6;
        let carried = judged(&found);
        points.push(Point { flows: *flows, cores, lost: found.lost, carried });
        if !carried {
            break;
        }
    }
    (points, None)
}

fn figures(link: &Link, options: &Options, load: Load, subject: Subject, flows: usize) -> io::Result<Figures> {
    let rate = flows as u64 * PACE;
    Run { subject, load, both: false, calls: flows, rate, seconds: options.seconds }.figures(link)
}
