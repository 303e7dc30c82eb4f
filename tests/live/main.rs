//! The whole node against real peers: SIPp, Kamailio, Chromium, and sockets that send tones. Run by `make test` in a network of its
//! own (`scripts/in-namespace.sh`); each test has a node, ports and a folder for itself.

mod attack;
mod browser;
mod capacity;
mod causes;
mod ceasing;
mod configuration;
mod families;
mod fax;
mod flows;
mod hostile;
mod keypad;
mod main_job;
mod missing;
mod moving;
mod networks;
mod own_phones;
mod phone;
mod presence;
mod reconnecting;
mod recording;
mod registrar;
mod restart;
mod supervision;
mod transports;
mod trunks;
mod untouched;
mod websocket;
