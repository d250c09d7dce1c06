//! Real servers for the demonstration and the tests.

mod server;
mod smtp;

pub use server::{Server, ServerOptions};
pub use smtp::{Mail, SmtpSink};
