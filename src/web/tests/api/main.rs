//! The web as a browser, a phone user, an administrator and an attacker see it. No socket: requests go straight into
//! the router; the clock stands still until a test moves it.

mod access;
mod document;
mod fixture;
mod live;
mod pages;
mod password;
mod sign_in;
