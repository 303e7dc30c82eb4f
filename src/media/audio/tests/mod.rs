//! Ears and mouths together, over a network in virtual time.

mod line;
mod pairs;
