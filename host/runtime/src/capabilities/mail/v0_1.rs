//! `gtm:plugin/mail` of contract 0.1, by the functions of 0.2.

use super::contract::{Host, Message};
use super::{Linking, ListedCapability, Mail, MailView, ViewOf};
use crate::abi::generate;
use crate::abi::v0_2::types::Error;

/// Links the functions.
pub(super) fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
    contract::add_to_linker::<_, ViewOf<Mail>>(&mut linking.linker, Mail::view)
}

impl contract::Host for MailView<'_> {
    async fn send(&mut self, message: contract::Message) -> Result<String, contract::Error> {
        let contract::Message { from, to, cc, bcc, reply_to, subject, text, html } = message;
        let message = Message { from, to, cc, bcc, reply_to, subject, text, html };
        Host::send(self, message).await.map_err(Into::into)
    }
}

impl From<Error> for contract::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::NotGranted(reason) => Self::NotGranted(reason),
            Error::Invalid(reason) | Error::TooLarge(reason) => Self::Invalid(reason),
            Error::Rejected(reason) | Error::Conflict(reason) => Self::Rejected(reason),
            Error::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}

use generated::gtm::plugin::mail as contract;

generate!(generated, {
    path: "../../wit/0.1",
    inline: "
        package gtm:host;

        world mail {
            import gtm:plugin/mail@0.1.0;
        }
    ",
    imports: { default: async },
});
