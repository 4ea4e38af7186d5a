//! What can be wrong with a status page, in a word for a label and in words for the log.

use std::fmt;
use std::io::ErrorKind;

use crate::collector::Error;
use crate::host::http::Fault;

#[derive(Debug)]
pub(super) enum Problem {
    Fault(Fault),
    /// Something else answers at this address.
    NoStatusPage,
    /// Apache's page for people instead of the one for programs.
    AutoMissing,
    ExtendedStatusOff,
    /// One line is wrong; the others were told.
    Malformed(Error),
}

impl Problem {
    /// Whether a status page was read all the same.
    pub(super) fn has_page(&self) -> bool {
        matches!(self, Self::ExtendedStatusOff | Self::Malformed(_))
    }

    /// Whether something went wrong, rather than being switched off.
    pub(super) fn is_failure(&self) -> bool {
        !matches!(self, Self::ExtendedStatusOff)
    }

    /// The `reason` label.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Fault(Fault::Lookup(_)) => "unknown_host",
            Self::Fault(Fault::Connect(error)) => match error.kind() {
                ErrorKind::ConnectionRefused => "refused",
                ErrorKind::NotFound => "no_socket",
                ErrorKind::PermissionDenied => "denied",
                _ => "unreachable",
            },
            Self::Fault(Fault::NoTls | Fault::Tls(_)) => "tls",
            Self::Fault(Fault::Broken(_)) => "broken_answer",
            Self::Fault(Fault::TooLong) => "too_long",
            // 401, 404
            Self::Fault(Fault::Status(status)) => status.as_str(),
            Self::Fault(Fault::Redirection(_)) => "redirected",
            Self::Fault(Fault::Timeout) => "timeout",
            Self::NoStatusPage => "no_status_page",
            Self::AutoMissing => "auto_missing",
            Self::ExtendedStatusOff => "extended_status_off",
            Self::Malformed(_) => "malformed",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::NoStatusPage => f.write_str("what answers is no status page"),
            Self::AutoMissing => f.write_str("the page for people: ?auto is missing in the URL"),
            Self::ExtendedStatusOff => f.write_str("ExtendedStatus is off"),
            Self::Malformed(error) => error.fmt(f),
        }
    }
}
