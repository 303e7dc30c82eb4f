//! House rules. Each says why it stands in the message of its failure.

mod layers;
mod purity;
mod shape;
mod source;
mod words;

use source::Source;

/// Fails with the rule and every place that breaks it.
fn ensure(rule: &str, broken: Vec<String>) {
    assert!(broken.is_empty(), "{rule}\n  {}", broken.join("\n  "));
}

/// Lines of product code for which `breaks` holds, as `file:line: text`.
fn lines(sources: &[Source], breaks: impl Fn(&Source, &str) -> bool) -> Vec<String> {
    let of = |source: &Source| -> Vec<String> {
        let code = source.code().filter(|(_, line)| breaks(source, line));
        code.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())).collect()
    };
    sources.iter().flat_map(of).collect()
}
