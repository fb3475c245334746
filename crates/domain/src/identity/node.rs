//! A node, and what it does with a message.

use super::customer::{Content, Customer, Member, Most, Tried};
use super::limits::{Limit, Limits};
use super::message::{Ask, Evidence, Impossible, Link, Message, Seen, Stamp};
use crate::id::{IdentifierType, NodeRef};
use crate::time::{DAY, MINUTE, Millis};

/// What a deployment decides of identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How large a customer may become.
    pub limits: Limits,
    /// Events that know a shared device only go to the user who was seen with it last.
    pub route: bool,
    /// An identifier that was tried, or refused, is tried again after so long, in milliseconds.
    pub retry_after: Millis,
    /// The most identifiers that a customer remembers to have tried.
    pub most_tried: usize,
    /// The most devices that a customer remembers to be used by others as well.
    pub most_shared: usize,
    /// The most messages that wait at a root for an answer.
    pub most_waiting: usize,
    /// A customer asks for the events of a device at most once in so long, in milliseconds.
    pub route_every: Millis,
    /// That something was forgotten is remembered for so long after, in milliseconds: longer than any record is kept that
    /// could bring it back.
    pub forgotten_for: Millis,
}

impl Default for Rules {
    /// The default limits, with routing; a day until a refused identifier is tried again.
    fn default() -> Self {
        Rules {
            limits: Limits::default(),
            route: true,
            retry_after: DAY,
            most_tried: 128,
            most_shared: 32,
            most_waiting: 256,
            route_every: MINUTE,
            forgotten_for: 30 * DAY,
        }
    }
}

/// A message that waits at a root which asks, or to which somebody's customer is still on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Would make it ask a second question.
    Link(Box<Link>),
    /// A root that asks grants nothing, so that what it asked for stays true.
    Ask(Box<Ask>),
    /// Would not reach what is still on its way.
    Forget {
        /// When that was asked for.
        at: Millis,
    },
}

/// A root.
#[derive(Clone, Debug, PartialEq)]
pub struct Root<C> {
    /// Its customer.
    pub customer: Customer<C>,
    /// The smaller root that it has asked, until the answer.
    pub asking: Option<NodeRef>,
    /// What is taken up after the answer, in order.
    pub waiting: Vec<Waiting>,
}

/// A part of somebody else's customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alias {
    /// A smaller node, which is the root or nearer to it.
    pub parent: NodeRef,
    /// Messages that it has forwarded.
    pub forwarded: u64,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing<C> {
    /// Nothing yet.
    New,
    /// It holds a customer.
    Root(Box<Root<C>>),
    /// It points to one.
    Alias(Alias),
}

/// Where events that know this device only go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// When the user was seen with it.
    pub at: Millis,
    /// The user.
    pub to: NodeRef,
}

/// An identifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Node<C> {
    /// Which.
    pub own: NodeRef,
    /// What it is.
    pub standing: Standing<C>,
    /// Of a shared device.
    pub route: Option<Route>,
}

/// Something to be told about: for the log of merges and for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Two identifiers that were seen together stay apart.
    Refused {
        /// How they were seen together.
        evidence: Evidence,
        /// What keeps them apart.
        limit: Limit,
        /// The other customer's root, as it was known; `None` if the identifier alone would break the limit.
        other: Option<NodeRef>,
    },
    /// A customer has become a part of this one.
    Merged {
        /// The root that it was.
        from: NodeRef,
        /// How it is known that they are one.
        evidence: Option<Evidence>,
    },
    /// An event was left out, since what it says was forgotten.
    Forgotten,
    /// The customer is forgotten.
    Erased,
    /// What was known of the customer has outlived its time.
    Expired,
}

/// What a message brought about, besides the change of the node.
#[derive(Clone, Debug, PartialEq)]
pub struct Effects<C: Content> {
    /// Messages to other nodes, in order.
    pub sent: Vec<(NodeRef, Message<C>)>,
    /// What is to be told.
    pub notes: Vec<Note>,
}

impl<C: Content> Default for Effects<C> {
    fn default() -> Self {
        Effects { sent: Vec::new(), notes: Vec::new() }
    }
}

impl<C: Content> Node<C> {
    /// An identifier that was never seen.
    #[must_use]
    pub fn new(own: NodeRef) -> Self {
        Node { own, standing: Standing::New, route: None }
    }

    /// Takes an event that arrived at its smallest identifier, which is this one, for the first time.
    ///
    /// # Errors
    /// See [`Impossible`].
    pub fn arrive(
        &mut self,
        event: Box<Seen<C::Event>>,
        rules: &Rules,
        now: Millis,
        effects: &mut Effects<C>,
    ) -> Result<(), Impossible> {
        if let Some(Route { to, .. }) = self.route {
            // Its own customer need not be asked where that is another node's: what a device did counts for whoever used it.
            if let Standing::Root(root) = &self.standing
                && root.customer.has_forgotten(self.own, &event)
            {
                effects.notes.push(Note::Forgotten);
                return Ok(());
            }
            effects.send(to, Message::Observe { event, own: to, routed: true, stamp: None });
            return Ok(());
        }
        let own = self.own;
        self.take(Message::Observe { event, own, routed: false, stamp: None }, rules, now, effects)
    }

    /// Takes a message.
    ///
    /// # Errors
    /// See [`Impossible`]; the node is then as it was.
    pub fn take(
        &mut self,
        message: Message<C>,
        rules: &Rules,
        now: Millis,
        effects: &mut Effects<C>,
    ) -> Result<(), Impossible> {
        match message {
            Message::Yes { root } => return self.granted(root, effects),
            Message::No { evidence, limit } => {
                return self.refused(&evidence, limit, (rules, now), effects);
            }
            Message::Point { root, count } => self.point(root, count),
            Message::Route { at, to } => self.take_route(Route { at, to }),
            for_customer => {
                if let Standing::Alias(alias) = &mut self.standing {
                    forward(self.own, alias, for_customer, effects);
                    return Ok(());
                }
                return self.at_root(for_customer, rules, now, effects);
            }
        }
        Ok(())
    }

    /// What is known of the customer has outlived its time: all of it goes but who is one with whom, which pointers elsewhere
    /// rely on. Unlike after [`Message::Forget`], an event of before may bring some of it back. False, and nothing goes, at a
    /// root whose customer is about to move or has not all come: it is to be tried again later. False elsewhere, too.
    pub fn expire(&mut self, effects: &mut Effects<C>) -> bool {
        let Standing::Root(root) = &mut self.standing else { return false };
        let Root { customer, asking, waiting } = &mut **root;
        if asking.is_some() || !waiting.is_empty() || !customer.expected.is_empty() {
            return false;
        }
        customer.empty();
        effects.notes.push(Note::Expired);
        true
    }

    fn at_root(
        &mut self,
        message: Message<C>,
        rules: &Rules,
        now: Millis,
        effects: &mut Effects<C>,
    ) -> Result<(), Impossible> {
        let own = self.own;
        if matches!((&message, &self.standing), (Message::Absorb { .. }, Standing::New)) {
            return Err(Impossible::Nobody);
        }
        let Some(root) = self.root() else { return Ok(()) };
        let mut desk = Desk { own, root, rules, now, effects };
        match message {
            Message::Observe { event, own, routed, stamp } => desk.observe(&event, own, routed, stamp),
            Message::Link(link) => desk.link(link),
            Message::Ask(ask) => desk.ask(ask),
            Message::Absorb { customer, from } => desk.absorb(*customer, from),
            Message::Forget { at } => desk.forget(at),
            Message::Yes { .. } | Message::No { .. } | Message::Point { .. } | Message::Route { .. } => {}
        }
        Ok(())
    }

    /// The root, which a new node becomes; none of an alias.
    fn root(&mut self) -> Option<&mut Root<C>> {
        if matches!(self.standing, Standing::New) {
            let customer = Customer::of(self.own);
            self.standing = Standing::Root(Box::new(Root { customer, asking: None, waiting: Vec::new() }));
        }
        match &mut self.standing {
            Standing::Root(root) => Some(root),
            Standing::New | Standing::Alias(_) => None,
        }
    }

    fn asking(&mut self) -> Result<&mut Root<C>, Impossible> {
        match &mut self.standing {
            Standing::Root(root) if root.asking.is_some() => Ok(root),
            _ => Err(Impossible::Unasked),
        }
    }

    /// From now on an alias, for good. What waited goes after the customer.
    fn granted(&mut self, by: NodeRef, effects: &mut Effects<C>) -> Result<(), Impossible> {
        let own = self.own;
        let root = self.asking()?;
        if by >= own {
            return Err(Impossible::Upwards);
        }
        let customer = std::mem::replace(&mut root.customer, Customer::of(own));
        let waiting = std::mem::take(&mut root.waiting);
        let mut alias = Alias { parent: by, forwarded: 0 };
        effects.send(by, Message::Absorb { customer: Box::new(customer), from: own });
        for message in waiting {
            forward(own, &mut alias, message.into_message(), effects);
        }
        self.standing = Standing::Alias(alias);
        Ok(())
    }

    fn refused(
        &mut self,
        evidence: &Evidence,
        limit: Limit,
        (rules, now): (&Rules, Millis),
        effects: &mut Effects<C>,
    ) -> Result<(), Impossible> {
        let own = self.own;
        let root = self.asking()?;
        root.asking = None;
        let mut desk = Desk { own, root, rules, now, effects };
        // Whoever has refused it has told.
        desk.keep_apart(evidence, limit);
        desk.take_up();
        Ok(())
    }

    /// Path compression. Equal counts say that nothing this alias forwarded since is still on the longer way, so that its
    /// events can't overtake each other.
    fn point(&mut self, root: NodeRef, count: u64) {
        if let Standing::Alias(alias) = &mut self.standing
            && root < alias.parent
            && alias.forwarded == count
        {
            alias.parent = root;
        }
    }

    fn take_route(&mut self, route: Route) {
        self.root();
        if route.to < self.own && self.route.is_none_or(|known| route > known) {
            self.route = Some(route);
        }
    }
}

impl<C: Content> Effects<C> {
    fn send(&mut self, to: NodeRef, message: Message<C>) {
        self.sent.push((to, message));
    }
}

impl Waiting {
    fn into_message<C: Content>(self) -> Message<C> {
        match self {
            Waiting::Link(link) => Message::Link(link),
            Waiting::Ask(ask) => Message::Ask(ask),
            Waiting::Forget { at } => Message::Forget { at },
        }
    }
}

/// An alias sends on what is meant for the customer, and counts it.
fn forward<C: Content>(own: NodeRef, alias: &mut Alias, mut message: Message<C>, effects: &mut Effects<C>) {
    if let Message::Observe { stamp, .. } = &mut message {
        *stamp = Some(alias.stamp(own, *stamp));
    } else {
        alias.forwarded += 1;
    }
    effects.send(alias.parent, message);
}

impl Alias {
    /// Counts an event that this alias, which is `own`, sends on to its parent, and gives what is to be written on it.
    pub fn stamp(&mut self, own: NodeRef, before: Option<Stamp>) -> Stamp {
        self.forwarded += 1;
        let aliases = before.map_or(1, |stamp| stamp.aliases.saturating_add(1));
        let first = before.unwrap_or(Stamp { first: own, count: self.forwarded, aliases });
        Stamp { aliases, ..first }
    }
}

fn is_device(node: NodeRef) -> bool {
    node.kind == IdentifierType::AnonymousId
}

/// A root at work.
struct Desk<'w, C: Content> {
    own: NodeRef,
    root: &'w mut Root<C>,
    rules: &'w Rules,
    now: Millis,
    effects: &'w mut Effects<C>,
}

impl<C: Content> Desk<'_, C> {
    fn observe(&mut self, event: &Seen<C::Event>, own: NodeRef, routed: bool, stamp: Option<Stamp>) {
        if let Some(stamp) = stamp.filter(|stamp| stamp.aliases > 1) {
            self.effects.send(stamp.first, Message::Point { root: self.own, count: stamp.count });
        }
        let (now, Rules { forgotten_for, .. }) = (self.now, *self.rules);
        let customer = &mut self.root.customer;
        customer.forgotten.retain(|_, at| now < at.saturating_add(forgotten_for));
        if customer.has_forgotten(own, event) {
            self.effects.notes.push(Note::Forgotten);
            return;
        }
        customer.content.apply(own, event);
        if routed {
            return;
        }
        for (node, value) in &event.identifiers {
            if let Some(member) = customer.members.get_mut(node) {
                member.tell(value, event.occurred_at);
            } else if let Some(tried) = customer.tried.get_mut(node) {
                tried.since = tried.since.min(event.occurred_at);
            }
        }
        for (node, value) in &event.identifiers {
            let evidence = || Evidence {
                p: own,
                j: *node,
                event_id: event.id.clone(),
                source: event.source.clone(),
                at: event.occurred_at,
            };
            let asked_for = self.root.customer.shared.get(node);
            if asked_for.is_some_and(|at| now >= at.saturating_add(self.rules.route_every)) && !is_device(own)
            {
                self.route(*node, Route { at: event.occurred_at, to: own });
            }
            let customer = &self.root.customer;
            let known = customer.tried.get(node).is_some_and(|tried| now < tried.until);
            if known || customer.members.contains_key(node) {
                continue;
            }
            let refused = self.broken_by([*node].into_iter());
            let until = now.saturating_add(self.rules.retry_after);
            let tried = Tried { value: value.clone(), since: event.occurred_at, until, refused };
            self.root.customer.try_out(*node, tried, self.rules.most_tried);
            match refused {
                // No customer that has it can ever fit.
                Some(limit) => self.refuse(evidence(), limit, None),
                None => {
                    let link = Link { x: *node, target: self.own, y: own, evidence: evidence() };
                    self.effects.send(*node, Message::Link(Box::new(link)));
                }
            }
        }
    }

    fn broken_by(&self, joining: impl Iterator<Item = NodeRef>) -> Option<Limit> {
        let members = &self.root.customer.members;
        let joining = joining.filter(|node| !members.contains_key(node));
        self.rules.limits.broken_by(members.keys().copied(), joining)
    }

    fn link(&mut self, link: Box<Link>) {
        // A target has what it was named for, as long as nothing is split.
        if self.root.customer.members.contains_key(&link.y) || link.target == self.own {
            return;
        }
        // What would come with it is of a time that was forgotten. Whoever asks for it tries again, by a later event.
        if self.root.customer.has_forgotten_evidence(&link.evidence) {
            return self.effects.notes.push(Note::Forgotten);
        }
        let target = link.target;
        if target > self.own {
            // The larger root asks.
            let Link { x, target, y, evidence } = *link;
            let back = Link { x: y, target: self.own, y: x, evidence };
            self.effects.send(target, Message::Link(Box::new(back)));
        } else if self.root.asking.is_some() {
            self.put_off(Waiting::Link(link));
        } else {
            self.root.asking = Some(target);
            let customer = &self.root.customer;
            let ask = Ask {
                from: self.own,
                members: customer.members.keys().copied().collect(),
                forgotten: customer.forgotten.clone(),
                evidence: link.evidence,
            };
            self.effects.send(target, Message::Ask(Box::new(ask)));
        }
    }

    fn ask(&mut self, ask: Box<Ask>) {
        if self.root.asking.is_some() {
            return self.put_off(Waiting::Ask(ask));
        }
        // Forgotten since the Link went by.
        let forgotten = self.root.customer.has_forgotten_evidence(&ask.evidence).then_some(Limit::Busy);
        if let Some(limit) = forgotten.or_else(|| self.broken_by(ask.members.iter().copied())) {
            self.refuse(ask.evidence.clone(), limit, Some(ask.from));
            return self.effects.send(ask.from, Message::No { evidence: Box::new(ask.evidence), limit });
        }
        let Ask { from, members, forgotten, evidence } = *ask;
        let customer = &mut self.root.customer;
        for node in members {
            let member = Member { awaits: Some(from), ..Member::default() };
            customer.members.or_insert_with(node, || member);
        }
        if let Some(member) = customer.members.get_mut(&from) {
            member.evidence = Some(Box::new(evidence));
        }
        customer.learn_values();
        for (node, at) in forgotten {
            customer.forgotten_until(node, at);
        }
        customer.expected.insert(from);
        self.effects.send(from, Message::Yes { root: self.own });
    }

    fn absorb(&mut self, customer: Customer<C>, from: NodeRef) {
        let is_somebody = !customer.content.is_empty();
        let mine = &mut self.root.customer;
        mine.take_in(customer, Most { tried: self.rules.most_tried, shared: self.rules.most_shared });
        mine.expected.remove(&from);
        for member in mine.members.values_mut().filter(|member| member.awaits == Some(from)) {
            member.awaits = None;
        }
        let is_whole = mine.expected.is_empty();
        if is_somebody {
            let evidence = mine.members.get(&from).and_then(|member| member.evidence.as_deref().cloned());
            self.effects.notes.push(Note::Merged { from, evidence });
        }
        if self.root.asking.is_none() && is_whole {
            self.take_up();
        }
    }

    fn forget(&mut self, at: Millis) {
        let Root { customer, asking, waiting } = &mut *self.root;
        if asking.is_some() || !customer.expected.is_empty() {
            // Never too many: it is an order.
            waiting.push(Waiting::Forget { at });
            return;
        }
        customer.empty();
        let members: Vec<NodeRef> = customer.members.keys().copied().collect();
        for node in members {
            customer.forgotten_until(node, at);
        }
        self.effects.notes.push(Note::Erased);
    }

    fn put_off(&mut self, message: Waiting) {
        if self.root.waiting.len() < self.rules.most_waiting {
            return self.root.waiting.push(message);
        }
        match message {
            Waiting::Link(link) => self.refuse(link.evidence, Limit::Busy, Some(link.target)),
            Waiting::Ask(ask) => {
                self.refuse(ask.evidence.clone(), Limit::Busy, Some(ask.from));
                let no = Message::No { evidence: Box::new(ask.evidence), limit: Limit::Busy };
                self.effects.send(ask.from, no);
            }
            Waiting::Forget { .. } => self.root.waiting.push(message),
        }
    }

    /// Takes what has waited, in order. The first that needs an answer asks, and the rest waits again.
    fn take_up(&mut self) {
        for message in std::mem::take(&mut self.root.waiting) {
            match message {
                Waiting::Link(link) => self.link(link),
                Waiting::Ask(ask) => self.ask(ask),
                Waiting::Forget { at } => self.forget(at),
            }
        }
    }

    /// Two identifiers stay apart, and that is told.
    fn refuse(&mut self, evidence: Evidence, limit: Limit, other: Option<NodeRef>) {
        self.keep_apart(&evidence, limit);
        self.effects.notes.push(Note::Refused { evidence, limit, other });
    }

    fn keep_apart(&mut self, evidence: &Evidence, limit: Limit) {
        let customer = &mut self.root.customer;
        if let Some(tried) = customer.tried.get_mut(&evidence.j) {
            tried.refused = Some(limit);
        }
        if self.rules.route && is_device(evidence.j) && !is_device(evidence.p) {
            customer.share(evidence.j, self.now, self.rules.most_shared);
            if customer.members.contains_key(&evidence.p) {
                self.route(evidence.j, Route { at: evidence.at, to: evidence.p });
            }
        }
    }

    fn route(&mut self, device: NodeRef, Route { at, to }: Route) {
        self.root.customer.shared.insert(device, self.now);
        self.effects.send(device, Message::Route { at, to });
    }
}

/// Who is where, for those that look at many nodes at once.
impl<C> Standing<C> {
    /// The next node on the way to the root; `None` at a root, and at a node that was never seen.
    #[must_use]
    pub fn parent(&self) -> Option<NodeRef> {
        match self {
            Standing::Alias(alias) => Some(alias.parent),
            Standing::New | Standing::Root(_) => None,
        }
    }
}
