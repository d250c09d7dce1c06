//! The standard output and standard error of a plugin: its language's `print`, and the messages of panics. They are kept until the end
//! of the call, and logged then.

use std::sync::Arc;

use parking_lot::Mutex;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::budget::{Budget, Charge};

/// Bytes of one call's output that are kept.
const MAX_BYTES: usize = 16 * 1024;

/// Collects output. Clones write to the same place.
#[derive(Clone, Debug)]
pub(super) struct Output {
    kept: Arc<Mutex<PartialLine>>,
    budget: Budget,
}

#[derive(Debug, Default)]
struct PartialLine {
    bytes: Vec<u8>,
    charge: Option<Charge>,
}

impl Output {
    /// Makes an output whose bytes are charged to this budget.
    pub(super) fn new(budget: &Budget) -> Self {
        Self { kept: Arc::default(), budget: budget.clone() }
    }

    /// Returns the output since the last call, up to the limit.
    pub(super) fn take(&self) -> String {
        let mut kept = self.kept.lock();
        if kept.bytes.is_empty() {
            return String::new();
        }
        let PartialLine { bytes, charge } = std::mem::take(&mut *kept);
        drop(charge);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.kept.lock();
        let room = MAX_BYTES.saturating_sub(kept.bytes.len()).min(bytes.len());
        let charged = match &mut kept.charge {
            Some(charge) => charge.add(room).is_ok(),
            none => self.budget.charge(room).map(|charge| *none = Some(charge)).is_ok(),
        };
        if charged {
            kept.bytes.extend(bytes.iter().take(room));
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only for WASI 0.3, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.keep(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_BYTES)
    }
}
