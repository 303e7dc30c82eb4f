//! Status codes and their reason phrases (RFC 3261 21 and the IANA registry).

macro_rules! phrases {
    ($($code:literal $phrase:literal,)*) => {
        /// The standard reason phrase; for an unregistered code the one of its class.
        pub fn reason(status: u16) -> &'static str {
            match status {
                $($code => $phrase,)*
                100..=199 => "Progress",
                200..=299 => "OK",
                300..=399 => "Redirection",
                400..=499 => "Request Failure",
                500..=599 => "Server Failure",
                _ => "Global Failure",
            }
        }
    };
}

phrases! {
    100 "Trying",
    180 "Ringing",
    181 "Call Is Being Forwarded",
    182 "Queued",
    183 "Session Progress",
    199 "Early Dialog Terminated",
    200 "OK",
    202 "Accepted",
    204 "No Notification",
    300 "Multiple Choices",
    301 "Moved Permanently",
    302 "Moved Temporarily",
    305 "Use Proxy",
    380 "Alternative Service",
    400 "Bad Request",
    401 "Unauthorized",
    402 "Payment Required",
    403 "Forbidden",
    404 "Not Found",
    405 "Method Not Allowed",
    406 "Not Acceptable",
    407 "Proxy Authentication Required",
    408 "Request Timeout",
    410 "Gone",
    412 "Conditional Request Failed",
    413 "Request Entity Too Large",
    414 "Request-URI Too Long",
    415 "Unsupported Media Type",
    416 "Unsupported URI Scheme",
    417 "Unknown Resource-Priority",
    420 "Bad Extension",
    421 "Extension Required",
    422 "Session Interval Too Small",
    423 "Interval Too Brief",
    424 "Bad Location Information",
    425 "Bad Alert Message",
    428 "Use Identity Header",
    429 "Provide Referrer Identity",
    430 "Flow Failed",
    433 "Anonymity Disallowed",
    436 "Bad Identity Info",
    437 "Unsupported Credential",
    438 "Invalid Identity Header",
    439 "First Hop Lacks Outbound Support",
    440 "Max-Breadth Exceeded",
    469 "Bad Info Package",
    470 "Consent Needed",
    480 "Temporarily Unavailable",
    481 "Call/Transaction Does Not Exist",
    482 "Loop Detected",
    483 "Too Many Hops",
    484 "Address Incomplete",
    485 "Ambiguous",
    486 "Busy Here",
    487 "Request Terminated",
    488 "Not Acceptable Here",
    489 "Bad Event",
    491 "Request Pending",
    493 "Undecipherable",
    494 "Security Agreement Required",
    500 "Server Internal Error",
    501 "Not Implemented",
    502 "Bad Gateway",
    503 "Service Unavailable",
    504 "Server Time-out",
    505 "Version Not Supported",
    513 "Message Too Large",
    555 "Push Notification Service Not Supported",
    580 "Precondition Failure",
    600 "Busy Everywhere",
    603 "Decline",
    604 "Does Not Exist Anywhere",
    606 "Not Acceptable",
    607 "Unwanted",
    608 "Rejected",
}

/// Whether a response ends its transaction (RFC 3261 6).
pub fn is_final(status: u16) -> bool {
    status >= 200
}

/// Whether a response is a success (RFC 3261 21.2).
pub fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown_codes() {
        assert_eq!(reason(486), "Busy Here");
        assert_eq!(reason(499), "Request Failure");
        assert_eq!(reason(699), "Global Failure");
        assert!(!is_final(183) && is_final(200) && is_success(299) && !is_success(300));
    }
}
