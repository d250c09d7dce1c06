//! Remedies for errors of delivery, and of commands to a running host.

use std::borrow::Cow;

use gtm_delivery::{ControlError, DeliveryError};

use super::Remedy;

impl Remedy for DeliveryError {
    fn remedy(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Source(error) => error.remedy(),
            Self::Store(error) => error.remedy(),
            _ => None,
        }
    }
}

impl Remedy for ControlError {
    fn remedy(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Swap { reason, .. } => reason.remedy(),
            Self::Partly { reason, .. } => reason.remedy(),
            Self::Seek(error) => error.remedy(),
            _ => None,
        }
    }
}
