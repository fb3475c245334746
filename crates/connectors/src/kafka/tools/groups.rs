//! Who is in a consumer group, and what each member owns.

use rdkafka::consumer::Consumer as _;

use super::ask::{AskError, Inspector, NamedPartition};

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
