//! Text with variables: `sip:${number}@${node.domain}`.

use ringfort_base::limits;
use serde::Deserialize;
use serde::de::{self, Deserializer};

/// Text with `${name}` in it. Every variable was given or is refused when the configuration is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(String),
}

impl Template {
    fn parse(text: &str) -> Result<Template, String> {
        if text.len() > limits::RULE_VALUE_MAX || text.contains(|c: char| c.is_control()) {
            return Err("a value has no line ends and at most 2,048 octets".into());
        }
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, behind)) = rest.split_once("${") {
            let (name, after) = behind.split_once('}').ok_or_else(|| format!("`${{` without `}}` in `{text}`"))?;
            pieces.extend([Piece::Text(before.to_string()), Piece::Variable(name.to_string())]);
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_string()));
        Ok(Template(pieces))
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Variable(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// The text, with what `value` gives for each variable.
    pub(crate) fn fill<'v>(&self, value: impl Fn(&str) -> &'v str) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Variable(name) => value(name).to_string(),
        };
        self.0.iter().map(piece).collect()
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Template::parse(&String::deserialize(d)?).map_err(de::Error::custom)
    }
}
