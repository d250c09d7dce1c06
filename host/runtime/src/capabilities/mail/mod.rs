//! `gtm:plugin/mail`: e-mail through the host's mail server. The plugin does not see its password.

mod grant;
mod host;
mod letter;
mod mailer;
mod v0_1;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use grant::deserialize;
pub use grant::{AddressPattern, InvalidAddressPattern, MailGrant};
use gtm_oplog::Namespace;
pub use mailer::{Mailer, MailerError};

use super::{Capability, CapabilityView, GrantedCapability, Linking, ListedCapability, ViewOf};
use crate::Limits;
use crate::abi::generate;
use crate::load_error::SetupError;
use crate::remedy::PluginRemedy;
use crate::services::Services;
use crate::state::{CallContext, InstanceState};
use crate::throttle::Throttle;

/// Returns the sentence about a host without a mail server.
fn no_server() -> String {
    format!("the host has no mail server{}", PluginRemedy::MailServer)
}

/// The capability, for `handle` only.
pub(crate) struct Mail;

/// Limits the mail of a plugin, over all its instances.
pub(crate) struct MailRate(Throttle);

/// Counts the mail of one call.
#[derive(Default)]
pub(crate) struct MailCount {
    /// Messages sent for the current op, in this attempt.
    sent: u32,
}

type MailView<'a> = CapabilityView<'a, Mail>;

impl Default for MailRate {
    fn default() -> Self {
        Self(Throttle::new(Duration::from_secs(60)))
    }
}

impl Capability for Mail {
    const NAME: &'static str = "mail";
    const IMPORTS: &'static [&'static str] = &["gtm:plugin/mail"];

    fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        v0_1::link(linking)?;
        contract::add_to_linker::<_, ViewOf<Self>>(&mut linking.linker, Self::view)
    }
}

impl GrantedCapability for Mail {
    type Grant = Option<MailGrant>;
    type Prepared = ();
    type Shared = MailRate;
    type Instance = MailCount;

    const FORMS: &'static [&'static str] =
        &["mail", "mail-from=ADDRESS", "mail-to=ADDRESS", "mail-per-minute=COUNT"];

    fn parse(name: &str, value: Option<&str>) -> Option<Result<Option<MailGrant>, String>> {
        let parsed = match (name, value) {
            ("mail", None) => Ok(MailGrant::default()),
            ("mail-from", Some(address)) => AddressPattern::new(address)
                .map(|from| MailGrant { from: vec![from], ..MailGrant::default() })
                .map_err(|error| error.to_string()),
            ("mail-to", Some(address)) => AddressPattern::new(address)
                .map(|to| MailGrant { to: vec![to], ..MailGrant::default() })
                .map_err(|error| error.to_string()),
            ("mail-per-minute", Some(count)) => count
                .parse()
                .map(|count| MailGrant { per_minute: Some(count), ..MailGrant::default() })
                .map_err(|_| format!("\"{count}\" is not a valid number of messages: it is 1 or more")),
            _ => return None,
        };
        Some(parsed.map(Some))
    }

    fn merge(granted: &mut Option<MailGrant>, more: Option<MailGrant>) {
        let Some(MailGrant { from, to, per_minute }) = more else { return };
        let granted = granted.get_or_insert_default();
        granted.from.extend(from);
        granted.to.extend(to);
        granted.per_minute = per_minute.or(granted.per_minute);
    }

    fn everything() -> Option<MailGrant> {
        Some(MailGrant::default())
    }

    fn describe(granted: &Option<MailGrant>) -> String {
        granted.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    /// Without a server, a grant of mail has no use, so a user without a grant gets the sentence, too.
    fn lacks(services: &Services, _: bool) -> Option<String> {
        services.mailer.is_none().then(no_server)
    }

    fn prepare(_: &str, _: &Option<MailGrant>, _: &Limits) -> Result<(), SetupError> {
        Ok(())
    }

    fn instance(_: &CallContext) -> MailCount {
        MailCount::default()
    }

    fn begin(state: &mut InstanceState, _: &str, _: &Arc<Namespace>) {
        state.contexts.mail.sent = 0;
    }
}

use generated::gtm::plugin::mail as contract;

generate!(generated, {
    path: "../../wit/0.2",
    inline: "
        package gtm:host;

        world mail {
            import gtm:plugin/mail@0.2.0;
        }
    ",
    with: { "gtm:plugin/types": crate::abi::v0_2::types },
    imports: { default: async },
});
