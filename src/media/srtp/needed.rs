//! Where in memory lies what the next packet of SRTP needs: for whoever has the processor fetch it ahead of its use. Only addresses are told,
//! and nothing is read by them here.

use super::streams::Streams;
use super::{SrtpReceiver, SrtpSender};

/// Where something lies and how many octets it has.
pub type Span = (*const u8, usize);

/// Where a value lies.
pub(super) fn span<T: ?Sized>(value: &T) -> Span {
    (std::ptr::from_ref(value).cast(), size_of_val(value))
}

/// What a direction needs for its next packet of SRTP.
pub trait Needed {
    /// Of the value itself, which is not read for that.
    fn near(&self) -> [Span; 3];
    /// Of its session keys. Reads what [`Needed::near`] tells of.
    fn far(&self) -> [Span; 2];
}

/// As a rule there is one stream.
fn near(transform: &impl Sized, streams: &Streams) -> [Span; 3] {
    let [first, used] = streams.needed();
    [first, used, span(transform)]
}

impl Needed for SrtpReceiver {
    fn near(&self) -> [Span; 3] {
        near(&self.transform, &self.streams)
    }

    fn far(&self) -> [Span; 2] {
        self.transform.needed()
    }
}

impl Needed for SrtpSender {
    fn near(&self) -> [Span; 3] {
        near(&self.transform, &self.streams)
    }

    fn far(&self) -> [Span; 2] {
        self.transform.needed()
    }
}
