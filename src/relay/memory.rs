//! How the process takes memory from the system. It stands here because this member has all that is not safe.

/// Octets that are taken at once.
const TAKEN: i32 = 512 << 10;
/// Octets at the end of a thread's memory that are kept when they are free. By itself the C library gives back all above 128 KB: a
/// core that handles a burst and forgets it took the same pages from the system again and again.
const KEPT: i32 = 2 << 20;

/// Has the allocator take memory in larger steps and keep some that is free. Before threads are started. What is larger than
/// 128 KB is given back at once from then on, such as the memory that hashed a password.
pub fn settle() {
    crate::sys::set_steps(TAKEN, KEPT);
}
