//! Ears and mouths together, over a network in virtual time.

mod concealment;
mod digits;
mod hostile;
mod line;
mod loss;
mod pairs;
