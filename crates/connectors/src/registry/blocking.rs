//! The registry for who may wait: commands, and the start of `run`.

use super::{Client, RegistryError, RegistrySettings, SchemaText};
use crate::retry::Backoff;
use catchment_contracts::catalogue::Compatibility;
use catchment_contracts::wire::{SchemaId, SchemaIds};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};
use tracing::{info, warn};

/// Requests that wait to be made.
const QUEUE: usize = 64;
/// Requests on their way at a time.
const CONCURRENT: usize = 8;
/// Waits between two attempts to reach the registry at start.
const WAITS: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(10)];
/// How often a wait looks whether it is to go on.
const LOOK: Duration = Duration::from_millis(50);

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
type Call = Box<dyn FnOnce(Arc<Client>) -> Work + Send>;

/// A registry, asked over a queue. Clones share it; it stops with the last of them.
///
/// Its waiting functions must not be called by a task of an asynchronous runtime.
#[derive(Clone, Debug)]
pub struct Registry {
    calls: mpsc::Sender<Call>,
}

impl Registry {
    /// A registry with a thread of its own.
    ///
    /// # Errors
    /// Settings that can't be used, or a system that gives no thread.
    pub fn start(settings: RegistrySettings) -> Result<Self, RegistryError> {
        let client = Client::new(settings)?;
        let failed = |error: std::io::Error| RegistryError::Settings(format!("no thread for it: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (calls, queue) = mpsc::channel(QUEUE);
        let serve = move || runtime.block_on(serve(Arc::new(client), queue));
        thread::Builder::new().name("registry".to_owned()).spawn(serve).map_err(failed)?;
        Ok(Registry { calls })
    }

    /// A registry on a runtime that there is.
    ///
    /// # Errors
    /// Settings that can't be used.
    pub fn on(runtime: &tokio::runtime::Handle, settings: RegistrySettings) -> Result<Self, RegistryError> {
        let client = Client::new(settings)?;
        let (calls, queue) = mpsc::channel(QUEUE);
        runtime.spawn(serve(Arc::new(client), queue));
        Ok(Registry { calls })
    }

    /// Has something done with the client, and waits for what comes of it.
    pub(super) fn ask<T, F>(
        &self,
        ask: impl FnOnce(Arc<Client>) -> F + Send + 'static,
    ) -> Result<T, RegistryError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, RegistryError>> + Send + 'static,
    {
        let (answer, answered) = sync_channel(1);
        let call: Call = Box::new(move |client| {
            Box::pin(async move {
                // Nobody waits any more where this fails.
                let _ = answer.send(ask(client).await);
            })
        });
        self.calls.blocking_send(call).map_err(|_| RegistryError::Stopped)?;
        answered.recv().map_err(|_| RegistryError::Stopped)?
    }

    /// Has something done with the client, without waiting. False if the queue is full.
    pub(super) fn try_send<F>(&self, work: impl FnOnce(Arc<Client>) -> F + Send + 'static) -> bool
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.calls.try_send(Box::new(move |client| Box::pin(work(client)))).is_ok()
    }

    /// As [`Client::versions`].
    ///
    /// # Errors
    /// As there.
    pub fn versions(&self, subject: &str) -> Result<Option<Vec<u32>>, RegistryError> {
        let subject = subject.to_owned();
        self.ask(|client| async move { client.versions(&subject).await })
    }

    /// As [`Client::version`].
    ///
    /// # Errors
    /// As there.
    pub fn version(&self, subject: &str, version: u32) -> Result<SchemaText, RegistryError> {
        let subject = subject.to_owned();
        self.ask(move |client| async move { client.version(&subject, version).await })
    }

    /// As [`Client::register`].
    ///
    /// # Errors
    /// As there.
    pub fn register(&self, subject: &str, schema: &str) -> Result<SchemaId, RegistryError> {
        let (subject, schema) = (subject.to_owned(), schema.to_owned());
        self.ask(|client| async move { client.register(&subject, &schema).await })
    }

    /// As [`Client::lookup`].
    ///
    /// # Errors
    /// As there.
    pub fn lookup(&self, subject: &str, schema: &str) -> Result<Option<SchemaId>, RegistryError> {
        let (subject, schema) = (subject.to_owned(), schema.to_owned());
        self.ask(|client| async move { client.lookup(&subject, &schema).await })
    }

    /// As [`Client::is_compatible`].
    ///
    /// # Errors
    /// As there.
    pub fn is_compatible(&self, subject: &str, schema: &str) -> Result<bool, RegistryError> {
        let (subject, schema) = (subject.to_owned(), schema.to_owned());
        self.ask(|client| async move { client.is_compatible(&subject, &schema).await })
    }

    /// As [`Client::level`].
    ///
    /// # Errors
    /// As there.
    pub fn level(&self, subject: &str) -> Result<Option<String>, RegistryError> {
        let subject = subject.to_owned();
        self.ask(|client| async move { client.level(&subject).await })
    }

    /// As [`Client::set_level`].
    ///
    /// # Errors
    /// As there.
    pub fn set_level(&self, subject: &str, level: Compatibility) -> Result<(), RegistryError> {
        let subject = subject.to_owned();
        self.ask(move |client| async move { client.set_level(&subject, level).await })
    }

    /// The ids under which our own records are written and read.
    ///
    /// # Errors
    /// [`RegistryError::NotRegistered`] names the first contract that is not registered as this release has it.
    pub fn schema_ids(&self) -> Result<SchemaIds, RegistryError> {
        SchemaIds::resolve(|contract| {
            self.ask(move |client| async move { client.contract_id(contract).await })
        })
    }

    /// As [`schema_ids`](Self::schema_ids), but waits for a registry that can't be reached, for as long as `go_on` says
    /// so, and says once a minute that it waits. `None`: `go_on` said no.
    ///
    /// # Errors
    /// What the registry answered.
    pub fn wait_for_schema_ids(&self, go_on: impl Fn() -> bool) -> Result<Option<SchemaIds>, RegistryError> {
        let mut backoff = Backoff::new(WAITS[0], WAITS[1]);
        loop {
            match self.schema_ids() {
                Ok(ids) => {
                    if backoff.attempts() > 0 {
                        info!(after_s = backoff.lasted().as_secs(), "the schema registry answers again");
                    }
                    return Ok(Some(ids));
                }
                Err(RegistryError::Unreachable { reason, retry_after }) => {
                    let wait = backoff.next_wait().max(retry_after.unwrap_or_default());
                    if backoff.is_worth_saying() {
                        let (waited_s, attempts) = (backoff.lasted().as_secs(), backoff.attempts());
                        warn!(%reason, waited_s, attempts, "waiting for the schema registry");
                    }
                    if !pause(wait, &go_on) {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Waits, unless `go_on` says no; says whether it waited to the end.
fn pause(wait: Duration, go_on: &impl Fn() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if !go_on() {
            return false;
        }
        let left = wait.saturating_sub(start.elapsed());
        if left.is_zero() {
            return true;
        }
        thread::sleep(left.min(LOOK));
    }
}

/// Does what comes through the queue, a few at a time, until nobody can ask any more.
async fn serve(client: Arc<Client>, mut queue: mpsc::Receiver<Call>) {
    let permits = Arc::new(Semaphore::new(CONCURRENT));
    while let Some(call) = queue.recv().await {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let work = call(Arc::clone(&client));
        tokio::spawn(async move {
            work.await;
            drop(permit);
        });
    }
}
