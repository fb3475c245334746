//! The registry for who may wait: commands, and the start of `run`.

use super::{Client, RegistryError, RegistrySettings, SchemaText};
use catchment_contracts::catalogue::Compatibility;
use catchment_contracts::wire::{SchemaId, SchemaIds};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use tokio::sync::{Semaphore, mpsc};

/// Requests that wait to be made.
const QUEUE: usize = 64;
/// Requests on their way at a time.
const CONCURRENT: usize = 8;

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
