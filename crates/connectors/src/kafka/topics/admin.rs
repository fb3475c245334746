//! Describes and creates topics.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication,
};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::{DescribedTopic, PartitionCount, WantedTopic};
use crate::kafka::config::Cluster;
use crate::kafka::tools::{AskError, Inspector, ToolContext, View};

/// Describes and creates topics.
pub struct TopicAdmin {
    client: AdminClient<ToolContext>,
    inspector: Inspector,
    timeout: Duration,
}

impl TopicAdmin {
    /// A client. Doesn't connect yet. Every question is answered or given up within `timeout`.
    ///
    /// # Errors
    /// [`AskError::Refused`] for properties that librdkafka refuses.
    pub fn new(cluster: &Cluster, timeout: Duration) -> Result<Self, AskError> {
        let client = AdminClient::from_config_and_context(&cluster.client(&[]), ToolContext::default())
            .map_err(|error| AskError::refused("admin client", error.to_string()))?;
        let inspector = Inspector::new(cluster, None, View::Uncommitted, timeout)?;
        Ok(TopicAdmin { client, inspector, timeout })
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().operation_timeout(Some(self.timeout)).request_timeout(Some(self.timeout))
    }

    fn trouble(&self, what: &str, code: Code) -> AskError {
        self.inspector.trouble(what, &KafkaError::AdminOp(code))
    }

    /// The id of the cluster, which its brokers were given when they were set up.
    ///
    /// # Errors
    /// [`AskError::Unreachable`] if no broker says it in time.
    pub fn cluster_id(&self) -> Result<String, AskError> {
        let id = self.client.inner().fetch_cluster_id(self.timeout);
        id.ok_or_else(|| self.trouble("id of the cluster", Code::OperationTimedOut))
    }

    /// What these topics are; those that don't exist are missing from the answer.
    ///
    /// # Errors
    /// See [`AskError`]; [`AskError::Denied`] for a topic that we may not know of, or whose configuration we may not
    /// see.
    pub fn describe<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<BTreeMap<String, DescribedTopic>, AskError> {
        let mut described = self.layout(names)?;
        let resources: Vec<_> = described.keys().map(|name| ResourceSpecifier::Topic(name)).collect();
        if resources.is_empty() {
            return Ok(described);
        }
        let what = "configurations of topics";
        let configs = block_on(self.client.describe_configs(&resources, &self.options()))
            .map_err(|error| self.inspector.trouble(what, &error))?;
        for (config, name) in configs.into_iter().zip(described.keys().cloned().collect::<Vec<_>>()) {
            let config =
                config.map_err(|code| self.trouble(&format!("configuration of topic {name}"), code))?;
            let OwnedResourceSpecifier::Topic(name) = &config.specifier else {
                continue;
            };
            if let Some(is) = described.get_mut(name) {
                let entries = config.entries.into_iter();
                is.config = entries.filter_map(|entry| Some((entry.name, entry.value?))).collect();
            }
        }
        Ok(described)
    }

    /// Partitions and replicas.
    fn layout<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<BTreeMap<String, DescribedTopic>, AskError> {
        let metadata = self.inspector.metadata(None)?;
        let mut described = BTreeMap::new();
        for name in names {
            let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
                self.inspector.is_denied(name)?;
                continue;
            };
            let fewest = topic.partitions().iter().map(|partition| partition.replicas().len()).min();
            let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
            let is = DescribedTopic {
                partitions: count(topic.partitions().len()),
                replication: count(fewest.unwrap_or(0)),
                config: BTreeMap::new(),
            };
            described.insert(name.to_owned(), is);
        }
        Ok(described)
    }

    /// Creates the topics that don't exist, and waits until they are known; returns their names. A topic without a
    /// wanted number of partitions or replicas gets the brokers' default.
    ///
    /// # Errors
    /// See [`AskError`]. Others may have been created.
    pub fn create(&self, wanted: &[WantedTopic]) -> Result<Vec<String>, AskError> {
        let configs: Vec<_> = wanted.iter().map(WantedTopic::config).collect();
        let topics: Vec<NewTopic<'_>> =
            wanted.iter().zip(&configs).map(|(topic, config)| new_topic(topic, config)).collect();
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let results = block_on(self.client.create_topics(&topics, &self.options()))
            .map_err(|error| self.inspector.trouble("topics not created", &error))?;
        let mut created = Vec::new();
        for result in results {
            match result {
                Ok(name) => created.push(name),
                Err((_, Code::TopicAlreadyExists)) => {}
                Err((topic, code)) => {
                    return Err(self.trouble(&format!("topic {topic} not created"), code));
                }
            }
        }
        self.wait_for(&created)?;
        Ok(created)
    }

    /// A topic is created before every broker knows of it; whoever asks too early is told that there is none.
    fn wait_for(&self, names: &[String]) -> Result<(), AskError> {
        let start = Instant::now();
        loop {
            let metadata = self.inspector.metadata(None)?;
            let is_known = |name: &String| {
                let mut topics = metadata.topics().iter();
                topics.any(|topic| topic.name() == name && !topic.partitions().is_empty())
            };
            match names.iter().find(|name| !is_known(name)) {
                None => return Ok(()),
                Some(name) if start.elapsed() > self.timeout => {
                    let reason = format!("{name} is not known yet");
                    return Err(AskError::Unreachable {
                        what: "topics are being created".to_owned(),
                        reason,
                    });
                }
                Some(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Deletes topics; those that don't exist are passed over.
    ///
    /// # Errors
    /// See [`AskError`]. Others may have been deleted.
    pub fn delete(&self, names: &[&str]) -> Result<(), AskError> {
        let results = block_on(self.client.delete_topics(names, &self.options()))
            .map_err(|error| self.inspector.trouble("topics not deleted", &error))?;
        for result in results {
            match result {
                Ok(_) | Err((_, Code::UnknownTopicOrPartition | Code::UnknownTopic)) => {}
                Err((topic, code)) => {
                    return Err(self.trouble(&format!("topic {topic} not deleted"), code));
                }
            }
        }
        Ok(())
    }

    /// Deletes the records of a partition before that offset, as retention does. Readers that have not come so far find a
    /// gap.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn delete_records(&self, topic: &str, partition: u32, before: u64) -> Result<(), AskError> {
        let what = format!("records of {topic} partition {partition} not deleted");
        let out_of_range = || self.trouble(&what, Code::InvalidArgument);
        let partition = i32::try_from(partition).map_err(|_| out_of_range())?;
        let before = i64::try_from(before).map_err(|_| out_of_range())?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before))
            .map_err(|error| self.inspector.trouble(&what, &error))?;
        let deleted = block_on(self.client.delete_records(&list, &self.options()))
            .map_err(|error| self.inspector.trouble(&what, &error))?;
        match deleted.elements().iter().find_map(|element| element.error().err()) {
            Some(error) => Err(self.inspector.trouble(&what, &error)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for TopicAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicAdmin").finish_non_exhaustive()
    }
}

/// −1 asks for the brokers' default.
fn new_topic<'a>(topic: &'a WantedTopic, config: &'a [(&'static str, String)]) -> NewTopic<'a> {
    let count = |wanted: Option<u32>| wanted.and_then(|wanted| i32::try_from(wanted).ok()).unwrap_or(-1);
    let replication = TopicReplication::Fixed(count(topic.replication));
    let new =
        NewTopic::new(&topic.name, count(topic.partitions.map(PartitionCount::at_creation)), replication);
    config.iter().fold(new, |new, (key, value)| new.set(key, value))
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for an answer of the client's own thread; bounded by the timeouts of the request.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}
