//! Audio itself, for legs that share no codec and for what the node says of its own: an [`Ear`] turns the RTP packets of one peer into
//! samples at a steady pace, a [`Mouth`] turns samples into RTP packets for one peer. Pure as all of media: time is an argument.
//!
//! Samples are 16-bit linear, mono, at 8, 16 or 48 kHz. After its first packets neither allocates.
//!
//! Read in this order: [`Codec`], [`Ear`], [`Mouth`].

mod codec;
mod conceal;
mod decoder;
mod digit;
mod ear;
mod encoder;
mod events;
pub mod g711;
pub mod g722;
mod jitter;
mod keypad;
mod listener;
mod mixer;
mod mouth;
mod noise;
mod packet;
mod resample;
mod sound;
mod stretch;
pub mod tones;
pub mod trial;
mod wishes;

pub use codec::Codec;
pub use digit::Digit;
pub use ear::{Ear, Heard, Hearing, Played};
pub use mixer::softened;
pub use mouth::{Mouth, Speaking};
pub use resample::Resampler;
pub use sound::{Sound, SoundError};
pub use tones::{Signal, Tone};
pub use wishes::OpusWishes;

#[cfg(test)]
mod tests;
