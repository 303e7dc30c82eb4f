//! Lines over two axes, as SVG.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
const EDGE: f64 = 60.0;
const COLOURS: [&str; 4] = ["#bf3f1f", "#1f5fbf", "#1f8f4f", "#8f4fbf"];

/// A named line.
pub struct Line {
    pub name: String,
    /// Points from left to right, and whether each is good; others are drawn hollow.
    pub points: Vec<(f64, f64, bool)>,
}

/// The whole picture; axes begin at 0.
pub fn svg(title: &str, x_name: &str, y_name: &str, lines: &[Line]) -> String {
    let all = || lines.iter().flat_map(|line| &line.points);
    let x_step = step(all().map(|point| point.0).fold(0.0, f64::max));
    let y_step = step(all().map(|point| point.1).fold(0.0, f64::max));
    let (x_max, y_max) = (6.0 * x_step, 6.0 * y_step);
    let place = |x: f64, y: f64| (EDGE + x / x_max * (WIDTH - 2.0 * EDGE), HEIGHT - EDGE - y / y_max * (HEIGHT - 2.0 * EDGE));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{EDGE}\" y=\"24\" font-size=\"15\">{title}</text>\n"
    );
    for n in 0..=6 {
        let n = f64::from(n);
        let ((x, bottom), (left, y)) = (place(n * x_step, 0.0), place(0.0, n * y_step));
        let (right, top) = place(x_max, y_max);
        // Writing to a String does not fail.
        let _ = writeln!(svg, "<path d=\"M{x:.1} {bottom:.1}V{top:.1}M{left:.1} {y:.1}H{right:.1}\" stroke=\"#ddd\"/>");
        let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>", bottom + 18.0, n * x_step);
        let _ =
            writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", left - 6.0, y + 4.0, short(n * y_step));
    }
    let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{x_name}</text>", WIDTH - EDGE, HEIGHT - 16.0);
    let _ = writeln!(svg, "<text x=\"{EDGE}\" y=\"{}\">{y_name}</text>", EDGE - 10.0);
    for (n, (line, colour)) in lines.iter().zip(COLOURS).enumerate() {
        let placed: Vec<(f64, f64, bool)> =
            line.points.iter().map(|(x, y, good)| (place(*x, *y), good)).map(|((x, y), good)| (x, y, *good)).collect();
        let points: Vec<String> = placed.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", points.join(" "));
        for (x, y, good) in placed {
            let fill = if good { colour } else { "white" };
            let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{fill}\" stroke=\"{colour}\"/>");
        }
        let y = EDGE + 16.0 + 18.0 * n as f64;
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{y}\" fill=\"{colour}\">{}</text>", EDGE + 14.0, line.name);
    }
    svg + "</svg>\n"
}

/// A sixth of `max`, rounded up to 1, 2, 2.5 or 5 times a power of ten.
fn step(max: f64) -> f64 {
    let sixth = (max / 6.0).max(1e-3);
    let power = 10f64.powf(sixth.log10().floor());
    let good = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|factor| factor * power >= sixth * 0.999);
    good.unwrap_or(10.0) * power
}

fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_round_and_every_line_is_there() {
        assert_eq!([step(5_900.0), step(0.7), step(0.0)], [1_000.0, 0.2, 0.001]);
        let line = |name: &str| Line { name: name.into(), points: vec![(100.0, 0.1, true), (4_000.0, 1.9, false)] };
        let svg = svg("a", "flows", "cores", &[line("one"), line("two")]);
        assert_eq!((svg.matches("<polyline").count(), svg.matches("fill=\"white\" stroke").count()), (2, 2));
        assert!(!svg.contains("NaN") && svg.ends_with("</svg>\n"));
    }
}
