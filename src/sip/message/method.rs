//! Methods (RFC 3261 7.1 and the IANA registry). Compared by case, as RFC 3261 7.1 says.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! methods {
    ($($variant:ident $text:literal $rfc:literal,)*) => {
        /// A request method.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum Method {
            $(#[doc = concat!("`", $text, "` (", $rfc, ").")] $variant,)*
            /// A method that Ringfort does not know, as received.
            Other(Box<str>),
        }

        impl Method {
            /// Reads a method token. Unknown methods are kept.
            pub fn parse(token: &str) -> Method {
                match token {
                    $($text => Method::$variant,)*
                    other => Method::Other(other.into()),
                }
            }

            /// The token on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Method::$variant => $text,)*
                    Method::Other(token) => token,
                }
            }
        }
    };
}

methods! {
    Invite "INVITE" "RFC 3261 13",
    Ack "ACK" "RFC 3261 13",
    Bye "BYE" "RFC 3261 15",
    Cancel "CANCEL" "RFC 3261 9",
    Options "OPTIONS" "RFC 3261 11",
    Register "REGISTER" "RFC 3261 10",
    Prack "PRACK" "RFC 3262",
    Update "UPDATE" "RFC 3311",
    Refer "REFER" "RFC 3515",
    Subscribe "SUBSCRIBE" "RFC 6665",
    Notify "NOTIFY" "RFC 6665",
    Info "INFO" "RFC 6086",
    Message "MESSAGE" "RFC 3428",
    Publish "PUBLISH" "RFC 3903",
}

impl Method {
    /// Whether Ringfort knows the method at all.
    pub fn is_known(&self) -> bool {
        !matches!(self, Method::Other(_))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<String> for Method {
    fn from(token: String) -> Method {
        Method::parse(&token)
    }
}

impl From<Method> for String {
    fn from(method: Method) -> String {
        method.as_str().to_owned()
    }
}
