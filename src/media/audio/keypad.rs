//! The tones of a keypad (ITU-T Q.23): two at once for each key.

/// The four low tones and the four high ones, Hz.
pub(super) const LOW: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
pub(super) const HIGH: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
/// Row and column of each key, by its event code.
pub(super) const KEYS: [(usize, usize); 16] = [
    (3, 1),
    (0, 0),
    (0, 1),
    (0, 2),
    (1, 0),
    (1, 1),
    (1, 2),
    (2, 0),
    (2, 1),
    (2, 2),
    (3, 0),
    (3, 2),
    (0, 3),
    (1, 3),
    (2, 3),
    (3, 3),
];
