//! The curves as a picture.

use super::Curve;
use std::fmt::Write as _;

/// One colour for each line.
const COLOURS: [&str; 4] = ["#1f5fbf", "#bf3f1f", "#1f8f4f", "#8f4fbf"];

/// Processors over flows, as SVG: a line for each kind, the last point of each being the one that was not carried.
pub(super) fn picture(curves: &[Curve]) -> String {
    const WIDTH: f64 = 640.0;
    const HEIGHT: f64 = 360.0;
    const EDGE: f64 = 50.0;
    let all = || curves.iter().flat_map(|curve| &curve.steps);
    let flows_max = all().map(|step| step.flows).max().unwrap_or(1) as f64;
    let cores_max = all().map(|step| step.cores).fold(0.1, f64::max);
    let place = |flows: f64, cores: f64| {
        (EDGE + flows / flows_max * (WIDTH - 2.0 * EDGE), HEIGHT - EDGE - cores / cores_max * (HEIGHT - 2.0 * EDGE))
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let ((left, low), (right, high)) = (place(0.0, 0.0), place(flows_max, cores_max));
    // Writing to a String does not fail.
    let _ = writeln!(svg, "<path d=\"M{left} {high}V{low}H{right}\" fill=\"none\" stroke=\"black\"/>");
    let _ = writeln!(
        svg,
        "<text x=\"{right}\" y=\"{}\" text-anchor=\"end\">{flows_max} flows, 50 packets a second each</text>",
        low + 20.0
    );
    let _ = writeln!(svg, "<text x=\"{left}\" y=\"{}\">{cores_max:.2} cores</text>", high - 8.0);
    for (n, (Curve { name, steps, .. }, colour)) in curves.iter().zip(COLOURS).enumerate() {
        let points: Vec<String> =
            steps.iter().map(|step| place(step.flows as f64, step.cores)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", points.join(" "));
        let _ =
            writeln!(svg, "<text x=\"{}\" y=\"{}\" fill=\"{colour}\">{name}</text>", left + 20.0, high + 20.0 + 16.0 * n as f64);
    }
    svg + "</svg>\n"
}
