//! Places of the web phones' live streams: so many for all, and few for one user, so that nobody takes the others' places.

use crate::state::lock;
use ringfort_base::limits::{PHONE_STREAMS_MAX, PHONE_STREAMS_PER_USER_MAX};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Who has how many. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct PhoneStreams {
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

/// One place; it is given back when the value is dropped.
pub(crate) struct Place {
    streams: PhoneStreams,
    user: String,
}

impl PhoneStreams {
    /// A place for this user; `None` when the user has as many as one may have, or all are taken.
    pub(crate) fn take(&self, user: &str) -> Option<Place> {
        let mut taken = lock(&self.taken);
        let own = taken.get(user).copied().unwrap_or_default();
        if own >= PHONE_STREAMS_PER_USER_MAX || taken.values().sum::<usize>() >= PHONE_STREAMS_MAX {
            return None;
        }
        taken.insert(user.into(), own + 1);
        Some(Place { streams: self.clone(), user: user.into() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.streams.taken);
        if let Some(own) = taken.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_leaves_places_for_others_and_all_come_back() {
        let streams = PhoneStreams::default();
        let mut places = Vec::new();
        for n in 0..PHONE_STREAMS_MAX {
            let user = (n / PHONE_STREAMS_PER_USER_MAX).to_string();
            places.push(streams.take(&user).expect("a place is left"));
            let full = places.len().is_multiple_of(PHONE_STREAMS_PER_USER_MAX);
            assert_eq!(full, streams.take(&user).is_none(), "{user} has {} places with others", places.len());
        }
        assert!(streams.take("late").is_none());
        places.pop();
        assert!(streams.take("late").is_some());
        places.clear();
        assert!(lock(&streams.taken).is_empty());
    }
}
