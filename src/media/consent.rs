//! What is said of recording in the description of a call that is recorded (RFC 7866 6.2, 6.3): whether it is, and whether somebody
//! wishes it.

use crate::sdp::Section;
use serde::{Deserialize, Serialize};

/// `a=record`: whether the audio is being recorded (RFC 7866 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordState {
    /// It is.
    On,
    /// It is not.
    Off,
    /// It was, and will be.
    Paused,
}

/// `a=recordpref`: what somebody wishes (RFC 7866 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordWish {
    /// To be recorded.
    On,
    /// Not to be recorded.
    Off,
    /// Not to be recorded for the time being.
    Pause,
    /// None.
    Any,
}

impl RecordState {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            RecordState::On => "on",
            RecordState::Off => "off",
            RecordState::Paused => "paused",
        }
    }

    fn parse(text: &str) -> Option<RecordState> {
        [RecordState::On, RecordState::Off, RecordState::Paused].into_iter().find(|state| state.as_str() == text)
    }
}

impl RecordWish {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            RecordWish::On => "on",
            RecordWish::Off => "off",
            RecordWish::Pause => "pause",
            RecordWish::Any => "nopreference",
        }
    }

    fn parse(text: &str) -> Option<RecordWish> {
        [RecordWish::On, RecordWish::Off, RecordWish::Pause, RecordWish::Any].into_iter().find(|wish| wish.as_str() == text)
    }
}

/// What the section of the audio says, or that of the session. A word that nobody knows says nothing.
pub(crate) fn read(audio: Section<'_>, session: Section<'_>) -> (Option<RecordState>, Option<RecordWish>) {
    let value = |name| {
        let told = |section: Section<'_>| section.named(name).find_map(|attribute| attribute.value.map(str::to_ascii_lowercase));
        told(audio).or_else(|| told(session))
    };
    let (state, wish) = (value("record"), value("recordpref"));
    (state.and_then(|text| RecordState::parse(text.trim())), wish.and_then(|text| RecordWish::parse(text.trim())))
}
