//! How state is written down for the next process: MessagePack with the names of fields, so that a later version may add some and
//! leave some out. Most of what writing a call as JSON costs is looking for characters to escape in names that have none.

use serde::{Deserialize, Serialize};

/// Octets of a usual entry, that of a call: so its buffer grows once at most.
const USUAL: usize = 2_048;
/// Everything that is kept is a map, a list or a text, which MessagePack marks from here on; JSON is ASCII at its beginning.
const FIRST_MARK: u8 = 0x80;

/// A value as it is kept. `None`: it cannot be written, which no type of this node is.
pub(crate) fn write(value: &impl Serialize) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(USUAL);
    value.serialize(&mut rmp_serde::Serializer::new(&mut octets).with_struct_map()).ok()?;
    Some(octets)
}

/// Reads what [`write`] wrote, or an earlier version of the node as JSON. `None`: it is damaged, or something else.
pub(crate) fn read<'a, T: Deserialize<'a>>(octets: &'a [u8]) -> Option<T> {
    match octets.first()? {
        FIRST_MARK.. => rmp_serde::from_slice(octets).ok(),
        _ => serde_json::from_slice(octets).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::event::Mode;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        name: String,
        mode: Mode,
        #[serde(default)]
        later: Option<u32>,
    }

    #[test]
    fn fields_come_and_go() {
        #[derive(Serialize)]
        struct Newer {
            mode: Mode,
            added: [u8; 3],
            name: &'static str,
        }
        let newer = write(&Newer { mode: Mode::Survivable, added: [1, 2, 255], name: "a" }).expect("writable");
        let wanted = Sample { name: "a".into(), mode: Mode::Survivable, later: None };
        assert_eq!(read::<Sample>(&newer), Some(wanted));
        assert_eq!(read::<Sample>(&newer[..newer.len() - 1]), None);
        assert_eq!(read::<Sample>(b""), None);
    }

    #[test]
    fn what_an_earlier_version_wrote_is_read() {
        let sample = Sample { name: "a".into(), mode: Mode::Normal, later: Some(7) };
        let json = serde_json::to_vec(&sample).expect("writable");
        assert_eq!(read(&json), Some(sample));
        assert_eq!(read(&serde_json::to_vec(&Mode::Normal).expect("writable")), Some(Mode::Normal));
        assert_eq!(read(&write(&Mode::Normal).expect("writable")), Some(Mode::Normal));
        assert_eq!(read(&write(&[200_u8; 32]).expect("writable")), Some([200_u8; 32]));
    }
}
