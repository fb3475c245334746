//! Who is in a consumer group, and what each member owns.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};

use super::super::config::Cluster;
use super::ask::{AskError, Inspector, NamedPartition, classify};

/// A consumer group as its coordinator sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// `Stable`, `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Dead`; empty if there is no such group.
    pub state: String,
    /// Its members. A static member that was closed counts until its session times out.
    pub members: Vec<GroupMember>,
}

impl Group {
    /// Whether nobody is in it, so that its offsets can be set from outside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && matches!(self.state.as_str(), "" | "Empty" | "Dead")
    }

    /// The partitions of a topic that nobody owns, while nothing is being dealt out; `partitions` is how many there are.
    #[must_use]
    pub fn orphans(&self, topic: &str, partitions: u32) -> Vec<NamedPartition> {
        if self.state != "Stable" {
            return Vec::new();
        }
        let all = (0..partitions)
            .filter_map(|number| Some(NamedPartition::new(topic, i32::try_from(number).ok()?)));
        all.filter(|at| self.members.iter().all(|member| !member.partitions.contains(at))).collect()
    }

    /// The member that has a partition: of that topic, or the same number of the topic that the group subscribes to,
    /// which all other topics follow.
    #[must_use]
    pub fn owner(&self, at: &NamedPartition) -> Option<&GroupMember> {
        let exact = self.members.iter().find(|member| member.partitions.contains(at));
        let same = |member: &&GroupMember| member.partitions.iter().any(|one| one.partition == at.partition);
        exact.or_else(|| self.members.iter().find(same))
    }
}

/// A member of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// `group.instance.id` of a static member, else the member id that the coordinator gave.
    pub name: String,
    /// Address of its host, as the coordinator saw it.
    pub host: String,
    /// What it was assigned.
    pub partitions: Vec<NamedPartition>,
}

impl Inspector {
    /// Members of a group. A group that doesn't exist has none.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn group(&self, name: &str) -> Result<Group, AskError> {
        let what = format!("group {name}");
        let list = self.patiently(|| {
            let list = self.consumer.fetch_group_list(Some(name), self.timeout);
            list.map_err(|error| self.trouble(&what, &error))
        })?;
        let Some(group) = list.groups().iter().find(|group| group.name() == name) else {
            return Ok(Group::default());
        };
        let members = group.members().iter().map(|member| GroupMember {
            name: instance_of(member.id()).to_owned(),
            host: member.client_host().trim_start_matches('/').to_owned(),
            partitions: member.assignment().and_then(assignment).unwrap_or_default(),
        });
        Ok(Group { state: group.state().to_owned(), members: members.collect() })
    }
}

/// Has a group deal out its partitions once more: joins it for a moment as a reader of another topic, and leaves. The
/// members keep what they have, and get what nobody has.
///
/// cooperative-sticky deals out in two rounds: in the first a partition is taken from one member, in the second, which
/// that member asks for, it is given to another. If the one dies in between and comes back under its static name, it is
/// handed what it had after the first round, and nobody asks for the second: the partition would stay without an owner
/// until a member comes or goes.
///
/// `bystander` is a topic that exists, that the client may describe, and that no member of the group subscribes to.
///
/// # Errors
/// [`AskError::Unreachable`] if the group has dealt out nothing within `patience`; see [`AskError`].
pub fn deal_again(
    cluster: &Cluster,
    group: &str,
    bystander: &str,
    patience: Duration,
) -> Result<(), AskError> {
    let what = format!("joining group {group}");
    let mut config = cluster.consumer(group, 1);
    config.set("group.protocol", "classic");
    config.set("partition.assignment.strategy", "cooperative-sticky");
    let refused = |error: rdkafka::error::KafkaError| AskError::refused("Kafka client", error.to_string());
    let consumer = BaseConsumer::from_config_and_context(&config, Bystander::default()).map_err(refused)?;
    consumer.subscribe(&[bystander]).map_err(refused)?;
    let start = Instant::now();
    while !consumer.context().dealt.load(Ordering::Relaxed) {
        if let Some(Err(error)) = consumer.poll(Duration::from_millis(50))
            && let denied @ AskError::Denied { .. } = classify(&what, &error, None)
        {
            return Err(denied);
        }
        if start.elapsed() > patience {
            let reason = format!("nothing was dealt out within {} s", patience.as_secs());
            return Err(AskError::Unreachable { what, reason });
        }
    }
    Ok(())
}

/// Of a member that only comes to go.
#[derive(Default)]
struct Bystander {
    dealt: AtomicBool,
}

impl ClientContext for Bystander {}

impl ConsumerContext for Bystander {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        self.dealt.fetch_or(matches!(rebalance, Rebalance::Assign(_)), Ordering::Relaxed);
    }
}

/// The instance id out of a member id: the coordinator puts `-` and a UUID behind it.
fn instance_of(member: &str) -> &str {
    const UUID: usize = 36;
    let cut = member.len().saturating_sub(UUID + 1);
    match member.get(cut..) {
        Some(end) if cut > 0 && end.starts_with('-') && end.matches('-').count() == 5 => &member[..cut],
        _ => member,
    }
}

/// Reads `ConsumerProtocolAssignment` of the classic protocol: version, then topics with their partitions. `None` if
/// the bytes are something else.
fn assignment(bytes: &[u8]) -> Option<Vec<NamedPartition>> {
    let mut rest = Bytes(bytes);
    let _version = rest.take(2)?;
    let mut partitions = Vec::new();
    for _ in 0..rest.int32()? {
        let length = u16::from_be_bytes(rest.take(2)?.try_into().ok()?);
        let topic = std::str::from_utf8(rest.take(usize::from(length))?).ok()?;
        for _ in 0..rest.int32()? {
            partitions.push(NamedPartition::new(topic, rest.int32()?));
        }
    }
    Some(partitions)
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    fn int32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read_and_one_cut_short_is_not() {
        let bytes = b"\0\x01\0\0\0\x02\0\x01a\0\0\0\x02\0\0\0\x03\0\0\0\x05\0\x01b\0\0\0\x01\0\0\0\0\0\0\0\0";
        let expected =
            [NamedPartition::new("a", 3), NamedPartition::new("a", 5), NamedPartition::new("b", 0)];
        assert_eq!(assignment(bytes).as_deref(), Some(&expected[..]));
        for cut in 0..bytes.len() - 4 {
            assert_eq!(assignment(&bytes[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn a_partition_without_an_owner_is_an_orphan_once_all_is_dealt_out() {
        let at = |partition| NamedPartition::new("events", partition);
        let member = |partitions: Vec<NamedPartition>| GroupMember {
            name: "a".to_owned(),
            host: String::new(),
            partitions,
        };
        let mut group = Group {
            state: "Stable".to_owned(),
            members: vec![member(vec![at(0), at(3)]), member(vec![at(2)]), member(Vec::new())],
        };
        assert_eq!(group.orphans("events", 4), [at(1)]);
        assert_eq!(group.orphans("events", 1), []);
        group.state = "PreparingRebalance".to_owned();
        assert_eq!(group.orphans("events", 4), []);
        assert_eq!(Group::default().orphans("events", 4), []);
    }

    #[test]
    fn a_static_member_is_called_by_its_instance() {
        let member = "shop-0-ingest-1-6f1bd0bd-6ae7-4d9a-8a8e-0b4a35b1a111";
        assert_eq!(instance_of(member), "shop-0-ingest-1");
        assert_eq!(instance_of("rdkafka"), "rdkafka");
        assert_eq!(instance_of(""), "");
    }

    #[test]
    fn other_topics_follow_the_number_of_the_one_that_is_subscribed_to() {
        let member = |name: &str, partition| GroupMember {
            name: name.to_owned(),
            host: String::new(),
            partitions: vec![NamedPartition::new("crm", partition)],
        };
        let group = Group { state: "Stable".to_owned(), members: vec![member("a", 0), member("b", 1)] };
        let owner = |topic: &str, partition| {
            group.owner(&NamedPartition::new(topic, partition)).map(|member| member.name.as_str())
        };
        assert_eq!(owner("crm", 1), Some("b"));
        assert_eq!(owner("web", 1), Some("b"));
        assert_eq!(owner("web", 2), None);
        assert!(!group.is_empty() && Group::default().is_empty());
    }
}
