#!/usr/bin/env python3
"""Executable model of identity: union-find over the partitions of a log.

Two protocols run on the same transports, histories and checks:

  HandOver   the first version: Observe, Link, Absorb, Return (optimistic, bounces)
  AskFirst   the repair: Observe, Link, Ask, Yes, No, Absorb (+ Point, Route, Split)

Transports, from strong to weak:

  kafka   one log per partition, a transaction appends record by record, markers come later and one
          partition at a time, readers stop at the last stable offset  (what Kafka gives)
  fifo    one queue per (producing partition, consuming partition), any interleaving between queues
  free    no order at all

    model.py random  --protocol askfirst --limits tight --mode fifo --runs 100000
    model.py exhaustive --protocol askfirst        every interleaving of every small history
    model.py costs                                 messages for chains, stars, steady state
    model.py show    --protocol handover --seed N --limits ... --mode ...   print one run
    model.py record  --runs 10000 --out histories.ndjson.gz    what was delivered and what came of it
"""
import argparse
import collections
import pickle
import random
import sys
import time

TYPES = "ucepa"  # user_id < crm_id < email < phone < anonymous_id
DEVICE = 4


def ident(text):
    return TYPES.index(text[0]) * 1000 + int(text[1:])


def name(i):
    return TYPES[i // 1000] + str(i % 1000)


def names(ids):
    return "{" + ",".join(name(i) for i in sorted(ids)) + "}"


LIMITS = {  # per type, then all members
    "none": ((10**6,) * 5, 10**6),
    "default": ((1, 1, 5, 5, 5), 100),
    "one": ((1, 1, 1, 1, 1), 100),
    "two": ((2, 2, 2, 2, 2), 100),
    "total": ((10**6,) * 5, 3),
}

Event = collections.namedtuple("Event", "id ids time")  # p = ids[0] = the smallest


class Violation(Exception):
    pass


class Customer:
    """What a root holds. `parts` is the profile: here the event ids folded so far, by identifier."""

    def __init__(self, members):
        self.members = set(members)
        self.parts = {}
        self.tried = {}  # identifier -> when a Link for it was sent or refused
        self.refused = set()  # HandOver only
        self.expected = set()  # granted roots whose customer is still on its way: not published, not addressed
        self.shared = set()  # devices seen with another user
        self.forbid = []  # (A, B): no member of A with a member of B
        self.gone = {}  # identifier -> (generation, where its side of a split went)
        self.gen = {}  # identifier -> how many splits it went through
        self.forgotten = {}  # identifier -> nothing that occurred before counts

    def apply(self, own, event_id):
        self.parts.setdefault(own, []).append(event_id)

    def forget(self, ids):
        for k, at in ids.items():
            self.forgotten[k] = max(at, self.forgotten.get(k, at))

    def take_in(self, c):
        for own, ids in c.parts.items():
            # c's events of `own` are older than those which `own` forwarded since
            self.parts[own] = ids + self.parts.get(own, [])
        self.tried.update(c.tried)
        self.forget(c.forgotten)
        self.refused |= c.refused
        self.shared |= c.shared
        self.expected |= c.expected
        self.forbid += [f for f in c.forbid if f not in self.forbid]
        for k, g in c.gen.items():
            self.gen[k] = max(g, self.gen.get(k, 0))
        for k, g in c.gone.items():
            if k not in self.gone or self.gone[k][0] < g[0]:
                self.gone[k] = g


class Node:
    def __init__(self, i):
        self.id = i
        self.parent = None  # alias if set
        self.cust = None  # root if set; neither: never seen
        self.seen = set()  # event ids (dedup)
        self.asking = None  # AskFirst: the smaller node asked, while no answer has come
        self.deferred = []  # AskFirst: Links and Asks that wait for that answer
        self.fwd = 0  # messages this alias forwarded
        self.route = None  # (time, identifier): where anonymous events of a shared device go


# ---------------------------------------------------------------- transports
class Fifo:
    def __init__(self, w):
        self.q = {}
        self.w = w

    def send(self, src, dst, msg):
        self.q.setdefault((src, dst), collections.deque()).append(msg)

    def ready(self):
        return [k for k, q in self.q.items() if q]

    def can_read(self, part):
        return True

    def take(self, key):
        return self.q[key].popleft()

    def done(self, part):
        pass


class Free(Fifo):
    n = 0

    def send(self, src, dst, msg):
        self.n += 1
        self.q[("m", self.n)] = [msg]

    def take(self, key):
        return self.q.pop(key)[0]


class Kafka:
    """A lane per partition. idle -> open (reads, stages) -> appends one by one -> commit -> markers -> idle."""

    def __init__(self, w):
        self.log = [[] for _ in range(w.P)]  # [message, visible]
        self.pos = [0] * w.P
        self.lane = [{"state": "idle", "out": [], "mine": {}} for _ in range(w.P)]

    def send(self, src, dst, msg):
        self.lane[src]["out"].append((dst, msg))

    def can_read(self, part):
        return self.lane[part]["state"] in ("idle", "open")

    def ready(self):
        acts = []
        for p, lane in enumerate(self.lane):
            if self.can_read(p) and self.pos[p] < len(self.log[p]) and self.log[p][self.pos[p]][1]:
                acts.append(("read", p))
            if lane["state"] == "open":
                acts.append(("close", p))
            elif lane["state"] == "closed":
                if lane["out"]:
                    acts += [("append", p, d) for d in dict.fromkeys(d for d, _ in lane["out"])]
                else:
                    acts.append(("commit", p))
            elif lane["state"] == "committed":
                acts += [("marker", p, d) for d in lane["mine"]]
        return acts

    def take(self, act):
        kind, p = act[0], act[1]
        lane = self.lane[p]
        if kind == "read":
            msg = self.log[p][self.pos[p]][0]
            self.pos[p] += 1
            return msg
        if kind == "close":
            lane["state"] = "closed"
        elif kind == "append":
            i = next(i for i, (d, _) in enumerate(lane["out"]) if d == act[2])
            _, msg = lane["out"].pop(i)
            entry = [msg, False]
            self.log[act[2]].append(entry)
            lane["mine"].setdefault(act[2], []).append(entry)
        elif kind == "commit":
            lane["state"] = "committed" if lane["mine"] else "idle"
        elif kind == "marker":
            for entry in lane["mine"].pop(act[2]):
                entry[1] = True
            if not lane["mine"]:
                lane["state"] = "idle"
        return None

    def done(self, part):
        self.lane[part]["state"] = "open"


MODES = {"fifo": Fifo, "free": Free, "kafka": Kafka}


# ---------------------------------------------------------------- the world
class World:
    def __init__(self, protocol, P, limits, inputs, mode, salt=0, opts=()):
        self.P, self.salt = P, salt
        self.limits, self.total = LIMITS[limits]
        self.unlimited = limits == "none"
        self.nodes = {}
        self.inputs = list(inputs)  # what ingest will deliver: ("Event", p, event) or ("Split", x, D)
        self.net = MODES[mode](self)
        self.mode = mode
        self.opts = set(opts)
        self.proto = protocol
        self.sent = collections.Counter()
        self.refusals = set()  # (p, a) pairs
        self.routed = {}
        self.dropped = set()  # events that say something of a time that was forgotten
        self.erased = set()  # events that were applied and forgotten
        self.unlinked = set()  # pairs that are known by an event of a time that was forgotten
        self.arrived = {}
        self.now = 0
        self.trace = None
        self.record = None
        self.src = None
        self.cap = 3000
        self.deferred = 0

    place = None

    def part(self, i):
        if self.place:
            return self.place[i]
        return ((i + self.salt) * 2654435761 >> 5) % self.P

    def node(self, i):
        n = self.nodes.get(i)
        if n is None:
            n = self.nodes[i] = Node(i)
        return n

    def emit(self, kind, to, *rest):
        self.sent[kind] += 1
        if self.trace is not None:
            self.trace.append("      -> " + show((kind, to) + rest))
        self.net.send(self.src, self.part(to), (kind, to) + rest)
        if sum(self.sent.values()) > self.cap:
            raise Violation("livelock: more than %d messages" % self.cap)

    def fits(self, members, forbid=()):
        if len(members) > self.total:
            return False
        if not self.unlimited:
            counts = [0] * 5
            for m in members:
                counts[m // 1000] += 1
            if any(c > l for c, l in zip(counts, self.limits)):
                return False
        return not any(members & a and members & b for a, b in forbid)

    def alias(self, n, parent):
        if not parent < n.id:
            raise Violation("pointer not decreasing: %s -> %s" % (name(n.id), name(parent)))
        n.parent, n.cust = parent, None

    def deliver(self, msg):
        self.now += 1
        self.src = self.part(msg[1])
        if self.record is not None:
            self.record.append(line(msg))
        if self.trace is not None:
            n = self.nodes.get(msg[1])
            st = "new" if n is None or (n.parent is None and n.cust is None) else (
                "alias of " + name(n.parent) if n.parent is not None else "root " + names(n.cust.members))
            self.trace.append("%-4s %-52s [%s]" % (name(msg[1]), show(msg), st))
        n = self.node(msg[1])
        getattr(self.proto, msg[0])(self, n, *msg[2:])
        if n.cust is not None and not self.fits(n.cust.members, n.cust.forbid):
            raise Violation("limit broken at %s: %s" % (name(n.id), names(n.cust.members)))
        self.net.done(self.src)
        if "strict" in self.opts:
            self.check_step()

    def check_step(self):
        """At every step an identifier has one owner: the root that granted it last. Others that list it are asking."""
        roots = [n for n in self.nodes.values() if n.cust is not None]
        listed = collections.defaultdict(list)
        for n in roots:
            for m in n.cust.members:
                listed[m].append(n)
        for m, ns in listed.items():
            ns.sort(key=lambda n: len(n.cust.members))
            for small, big in zip(ns, ns[1:]):
                if small.asking is None or not small.cust.members < big.cust.members or not big.id < small.id:
                    raise Violation("owner: %s is in %s and in %s" % (name(m), name(small.id), name(big.id)))

    def actions(self):
        acts = self.net.ready()
        acts += [("in", i) for i, m in enumerate(self.inputs) if self.net.can_read(self.part(m[1]))]
        return acts

    def act(self, a):
        msg = self.inputs.pop(a[1]) if a[0] == "in" else self.net.take(a)
        if msg is not None:
            self.deliver(msg)

    def run(self, rng):
        weight = {}
        while True:
            acts = self.actions()
            if not acts:
                return
            if len(acts) == 1:
                self.act(acts[0])
                continue
            ws = []
            for a in acts:
                k = a if a[0] != "in" else "in"
                if k not in weight:
                    weight[k] = rng.choice((1.0, 1.0, 0.2, 0.02))
                ws.append(weight[k])
            self.act(rng.choices(acts, ws)[0])
            if "expire" in self.opts and rng.random() < 0.02:  # `tried` runs out
                for n in self.nodes.values():
                    if n.cust is not None:
                        n.cust.tried.clear()

    # ------------------------------------------------------------ checks at quiescence
    def find(self, i):
        hops = 0
        while self.nodes[i].parent is not None:
            i = self.nodes[i].parent
            hops += 1
            if hops > 1000:
                raise Violation("cycle at " + name(i))
        return i

    def check(self, events, split=False):
        applied = collections.Counter()
        where = {}
        roots = {}
        for n in self.nodes.values():
            if n.asking is not None or n.deferred:
                raise Violation("%s still waits for %s" % (name(n.id), n.asking and name(n.asking)))
            if n.parent is None:
                if n.cust is None:
                    continue
                roots[n.id] = n.cust
                if n.cust.expected and self.mode != "free" and not split:
                    raise Violation("expected: %s never arrived at %s" % (names(n.cust.expected), name(n.id)))
                for own, ids in n.cust.parts.items():
                    for e in ids:
                        applied[e] += 1
                        where[e] = n.id
                    if "route" not in self.opts and not split and self.mode != "free":
                        order = [e for e in self.arrived.get(own, []) if e in ids]
                        if order != ids:
                            raise Violation("order of %s's events: %s, arrived %s" % (name(own), ids, order))
        for r, c in roots.items():
            for own, ids in c.parts.items():
                for e in events:
                    if e.id in ids and e.time < c.forgotten.get(own, e.time):
                        raise Violation("event %d of %s came back" % (e.id, name(own)))
        if self.erased & self.dropped:
            raise Violation("events %s erased and dropped" % sorted(self.erased & self.dropped))
        for e in events:
            times = applied[e.id] + (e.id in self.erased) + (e.id in self.dropped)
            if times != 1:
                raise Violation("event %d applied %d times" % (e.id, times))
            if applied[e.id] == 0:
                continue
            home = self.find(self.routed.get(e.id, e.ids[0]))
            if where[e.id] != home:
                raise Violation("event %d of %s applied at %s, its root is %s"
                                % (e.id, name(e.ids[0]), name(where[e.id]), name(home)))
        belong = collections.defaultdict(set)
        for n in self.nodes.values():
            if n.parent is not None or n.cust is not None:
                belong[self.find(n.id)].add(n.id)
        for r, c in roots.items():
            if c.members != belong[r]:
                raise Violation("root %s has members %s, but %s point to it" % (name(r), names(c.members), names(belong[r])))
        pairs = {(e.ids[0], j) for e in events for j in e.ids[1:] if e.id not in self.routed and e.id not in self.dropped}
        # Such an identifier is tried again once `tried` runs out.
        pairs = {(p, a) for p, a in pairs if a in self.nodes and self.find(p) == self.find(a)
                 or not any(a == a2 and self.find(p) == self.find(p2) for p2, a2 in self.unlinked)}
        if self.unlimited and not split and "busy" not in self.opts:
            parent = {}

            def f(x):
                while parent.setdefault(x, x) != x:
                    x = parent[x]
                return x
            for p, a in pairs:
                parent[max(f(p), f(a))] = min(f(p), f(a))
            for i in self.nodes:
                if self.nodes[i].cust is None and self.nodes[i].parent is None:
                    continue
                if f(i) != self.find(i):
                    raise Violation("%s is with %s, its component is %s" % (name(i), name(self.find(i)), name(f(i))))
        left_out = 0
        for p, a in pairs:
            if a not in self.nodes or (self.nodes[a].cust is None and self.nodes[a].parent is None):
                joined, union, forbid = False, roots[self.find(p)].members | {a}, roots[self.find(p)].forbid
            else:
                rp, ra = roots[self.find(p)], roots[self.find(a)]
                joined, union, forbid = rp is ra, rp.members | ra.members, rp.forbid + ra.forbid
            if not joined:
                left_out += 1
                if self.fits(union, forbid) and not split and "busy" not in self.opts:
                    raise Violation("unjustified: %s and %s are apart, yet %s fits" % (name(p), name(a), names(union)))
                if "expire" not in self.opts and not split and not any(
                        a2 == a and self.find(p2) == self.find(p) for p2, a2 in self.refusals):
                    raise Violation("no refusal recorded for %s ~ %s" % (name(p), name(a)))
        if not split:  # nobody is in a customer without evidence that runs inside it
            for r, c in roots.items():
                reach, todo = {r}, [r]
                while todo:
                    x = todo.pop()
                    for p, a in pairs:
                        for u, v in ((p, a), (a, p)):
                            if u == x and v in c.members and v not in reach:
                                reach.add(v)
                                todo.append(v)
                if reach != c.members:
                    raise Violation("no evidence: %s are in %s's customer %s" % (
                        names(c.members - reach), name(r), names(c.members)))
        return left_out


def show(msg):
    out = []
    for x in msg[2:]:
        if isinstance(x, Event):
            out.append("e%d%s" % (x.id, names(x.ids)))
        elif isinstance(x, Customer):
            out.append("customer" + names(x.members))
        elif isinstance(x, (set, frozenset)):
            out.append(names(x))
        elif isinstance(x, bool) or x is None or isinstance(x, (tuple, list)):
            continue
        elif isinstance(x, int):
            out.append(name(x) if x // 1000 < 5 else str(x))
    return "%s to %s (%s)" % (msg[0], name(msg[1]), ", ".join(out))


# ---------------------------------------------------------------- the first version
class HandOver:
    """x in "Observe forwarded from x" is the last forwarder, or (bounce_to="origin") the event's p."""

    def __init__(self, bounce_to="forwarder"):
        self.bounce_to = bounce_to

    def Event(self, w, n, ev):
        if ev.id in n.seen:
            return
        n.seen.add(ev.id)
        w.arrived.setdefault(n.id, []).append(ev.id)
        self.Observe(w, n, ev, None)

    def Observe(self, w, n, ev, x):
        if n.parent is not None:
            return w.emit("Observe", n.parent, ev, n.id if self.bounce_to == "forwarder" else ev.ids[0])
        if n.cust is None:
            n.cust = Customer({n.id})
        c = n.cust
        if x is not None and x not in c.members:
            return w.emit("Observe", x, ev, None)
        c.apply(ev.ids[0], ev.id)
        for j in ev.ids:
            if j not in c.members and j not in c.refused and j not in c.tried:
                c.tried[j] = w.now
                w.emit("Link", j, n.id)

    def Link(self, w, j, r):
        if j.parent is not None:
            if j.parent != r:
                w.emit("Link", max(j.parent, r), min(j.parent, r))
            return
        if j.cust is None:
            j.cust = Customer({j.id})
        if r < j.id:
            c = j.cust
            w.alias(j, r)
            w.emit("Absorb", r, c, j.id)
        elif j.id < r:
            w.emit("Link", r, j.id)

    def Absorb(self, w, n, c, j):
        if n.parent is not None:
            return w.emit("Absorb", n.parent, c, j)
        if w.fits(n.cust.members | c.members):
            n.cust.members |= c.members
            n.cust.take_in(c)
        else:
            n.cust.refused.add(j)
            for a in c.members:  # generous: any evidence between the two counts as recorded
                for p in n.cust.members:
                    w.refusals |= {(p, a), (a, p)}
            w.emit("Return", j, c, n.id)

    def Return(self, w, j, c, r):
        if j.cust is not None:
            raise Violation("Return to %s, which is a root" % name(j.id))
        j.parent, j.cust = None, c


# ---------------------------------------------------------------- the repair
class AskFirst:
    """A root asks before it hands over, and stays a root until the answer. A pointer, once set, is for good.

    Every message names the identifier for which it travels (`own`, `x`, `y`): a root that lost that identifier
    in a split sends it after it (`gone`). Without splits those checks never fire.
    """
    MAX_DEFERRED = 10**9

    def Event(self, w, n, ev):
        if ev.id in n.seen:
            return
        n.seen.add(ev.id)
        w.arrived.setdefault(n.id, []).append(ev.id)
        if n.route is not None and n.parent is None and n.cust is not None and any(
                ev.time < n.cust.forgotten.get(i, ev.time) for i in (n.id,) + ev.ids):
            w.dropped.add(ev.id)
            return
        if n.route is not None:
            to = n.route[1]
            w.routed[ev.id] = to
            return w.emit("Observe", to, ev, to, True, None)
        self.Observe(w, n, ev, n.id, False, None)

    def root(self, n):
        if n.parent is None and n.cust is None:
            n.cust = Customer({n.id})
        return n.cust

    def astray(self, w, n, own, *msg):
        """True if `own` left this root in a split: the message goes after it."""
        if own in n.cust.members:
            return False
        if own not in n.cust.gone:
            raise Violation("%s is no member of %s %s" % (name(own), name(n.id), names(n.cust.members)))
        w.emit(msg[0], n.cust.gone[own][1], *msg[1:])
        return True

    def Observe(self, w, n, ev, own, routed, stamp):
        if n.parent is not None:
            n.fwd += 1
            stamp = (n.id, n.fwd, 1) if stamp is None else stamp[:2] + (stamp[2] + 1,)
            return w.emit("Observe", n.parent, ev, own, routed, stamp)
        c = self.root(n)
        if self.astray(w, n, own, "Observe", ev, own, routed, None):
            return
        if "compress" in w.opts and stamp and stamp[2] > 1:
            w.emit("Point", stamp[0], n.id, stamp[1])
        if any(ev.time < c.forgotten.get(i, ev.time) for i in (own,) + ev.ids):
            w.dropped.add(ev.id)
            return
        c.apply(own, ev.id)
        if routed:
            return  # says something about a device, not about this customer: never a link
        for j in ev.ids:
            self.want(w, n, c, own, j, ev.time)

    def want(self, w, n, c, p, j, t):
        if j in c.shared and p // 1000 < DEVICE:
            self.route(w, c, p, j, t)
        if j in c.members or j in c.tried:
            return
        c.tried[j] = w.now
        if not w.fits(c.members | {j}, c.forbid):  # no customer that has j can ever fit
            self.refuse(w, c, (p, j, t))
        else:
            w.emit("Link", j, j, n.id, p, (p, j, t))

    def forgot(self, w, c, ev):
        """The event behind a Link or an Ask is of a time that was forgotten here."""
        old = any(ev[2] < c.forgotten.get(i, ev[2]) for i in ev[:2])
        if old:
            w.unlinked.add(ev[:2])
        return old

    def Link(self, w, n, x, target, y, ev):
        """x, on the receiver's side, was seen with y, on target's side."""
        if n.parent is not None:
            n.fwd += 1
            return w.emit("Link", n.parent, x, target, y, ev)
        c = self.root(n)
        if self.astray(w, n, x, "Link", x, target, y, ev) or y in c.members:
            return
        if self.forgot(w, c, ev):
            return
        if target == n.id:
            target = c.gone[y][1]
        if target > n.id:
            w.emit("Link", target, y, n.id, x, ev)
        elif n.asking is not None:
            self.defer(w, n, ("Link", n.id, x, target, y, ev))
        else:
            n.asking = target
            w.emit("Ask", target, n.id, frozenset(c.members), x, y, tuple(c.forbid), dict(c.forgotten), ev)

    def Ask(self, w, n, asker, members, x, y, forbid, forgotten, ev):
        if n.parent is not None:
            n.fwd += 1
            return w.emit("Ask", n.parent, asker, members, x, y, forbid, forgotten, ev)
        c = n.cust
        if self.astray(w, n, y, "Ask", asker, members, x, y, forbid, forgotten, ev):
            return
        if n.id > asker:  # only after a split: pointers and waits go down, so it is this root that must ask
            w.emit("No", asker, None)
            self.Link(w, n, y, asker, x, ev)
        elif n.asking is not None and "eager" not in w.opts:
            self.defer(w, n, ("Ask", n.id, asker, members, x, y, forbid, forgotten, ev))
        elif self.forgot(w, c, ev):
            self.refuse(w, c, ev)
            w.emit("No", asker, ev)
        elif w.fits(c.members | members, c.forbid + list(forbid)):
            c.members |= members
            c.forbid += [f for f in forbid if f not in c.forbid]
            c.forget(forgotten)
            c.expected.add(asker)
            w.emit("Yes", asker, n.id)
        else:
            self.refuse(w, c, ev)
            w.emit("No", asker, ev)

    def defer(self, w, n, msg):
        if len(n.deferred) < (2 if "busy" in w.opts else self.MAX_DEFERRED):
            n.deferred.append(msg)
            w.deferred = max(w.deferred, len(n.deferred))
        else:  # recorded as busy; the pair is tried again by a later event
            self.refuse(w, n.cust, msg[-1])
            if msg[0] == "Ask":
                w.emit("No", msg[2], msg[-1])

    def Yes(self, w, n, root):
        c, n.asking = n.cust, None
        w.alias(n, root)
        # Also of a customer that was empty when it asked: an event may have come since, and Forget waits for it.
        w.emit("Absorb", root, c, n.id)
        self.again(w, n)

    def No(self, w, n, ev):
        n.asking = None
        if ev is not None:
            self.refuse(w, n.cust, ev)
        self.again(w, n)

    def again(self, w, n):
        waiting, n.deferred = n.deferred, []
        for msg in waiting:
            getattr(self, msg[0])(w, n, *msg[2:])

    def Absorb(self, w, n, c, own):
        if n.parent is not None:
            n.fwd += 1
            return w.emit("Absorb", n.parent, c, own)
        for k in [k for k in {own, *c.parts} if k not in n.cust.members]:  # split off meanwhile: its part goes after it
            part = Customer(())
            if k in c.parts:
                part.parts[k] = c.parts.pop(k)
            self.astray(w, n, k, "Absorb", part, k)
        n.cust.take_in(c)
        n.cust.expected.discard(own)
        if n.asking is None and not n.cust.expected:
            self.again(w, n)

    # ---- forget
    def Forget(self, w, n, at):
        if n.parent is not None:
            n.fwd += 1
            return w.emit("Forget", n.parent, at)
        c = self.root(n)
        if n.asking is not None or c.expected:  # what is still on its way must not stay
            n.deferred.append(("Forget", n.id, at))
            return
        for ids in c.parts.values():
            w.erased.update(ids)
        c.parts = {}
        c.tried = {}
        c.forget({m: at for m in c.members})

    # ---- shared devices
    def refuse(self, w, c, ev):
        p, a, t = ev
        w.refusals.add((p, a))
        if "route" in w.opts and a // 1000 == DEVICE and p // 1000 < DEVICE:
            c.shared.add(a)
            if p in c.members:
                self.route(w, c, p, a, t)

    def route(self, w, c, p, a, t):
        w.emit("Route", a, t, p)

    def Route(self, w, n, t, to):
        self.root(n)
        if not to < n.id:
            raise Violation("route not decreasing")
        if n.route is None or (t, to) > n.route:
            n.route = (t, to)

    # ---- path compression: only when nothing this alias forwarded is still under way on the old path
    def Point(self, w, n, root, seq):
        if n.parent is not None and root < n.parent and ("hasty" in w.opts or n.fwd == seq):
            w.alias(n, root)

    # ---- split: `out` leave the customer of x
    def Split(self, w, n, out):
        if n.parent is not None:
            return w.emit("Split", n.parent, out)
        if n.cust is None:
            return
        if n.asking is not None:
            n.deferred.append(("Split", n.id, out))
            return
        c = n.cust
        a = c.members & out
        b = c.members - out
        if not a or not b:
            return
        stay, go = (a, b) if n.id in a else (b, a)
        d = min(go)
        c.forbid = c.forbid + [(frozenset(a), frozenset(b))]
        for k in c.members:
            c.gen[k] = c.gen.get(k, 0) + 1
        c2 = Customer(go)
        c2.forbid, c2.tried, c2.shared = list(c.forbid), dict(c.tried), set(c.shared)
        c2.gone = dict(c.gone)
        c2.expected, c.expected = c.expected & go, c.expected & stay
        for k in go:
            c.gone[k] = (c.gen[k], d)
            c2.gone.pop(k, None)
            c2.gen[k] = c.gen.pop(k)
            if k in c.parts:
                c2.parts[k] = c.parts.pop(k)
        for k in stay:
            c2.gone[k] = (c.gen[k], n.id)
        c.members = stay
        w.emit("Restore", d, c2)
        for k in go - {d}:
            w.emit("Repoint", k, d)
        for k in stay - {n.id}:
            w.emit("Repoint", k, n.id)

    def Restore(self, w, n, c):
        if n.cust is not None:
            raise Violation("Restore to %s, which is a root" % name(n.id))
        n.parent, n.cust = None, c

    def Repoint(self, w, n, to):
        if n.parent is not None:
            w.alias(n, to)


PROTOCOLS = {"handover": HandOver, "handover-origin": lambda: HandOver("origin"), "askfirst": AskFirst}


# ---------------------------------------------------------------- histories
def history(rng, most=7, split=False, forget=False):
    per = [rng.randint(1, 3) for _ in range(5)]
    pool = [t * 1000 + k for t in range(5) for k in range(1, per[t] + 1)]
    if rng.random() < 0.5:
        pool = rng.sample(pool, min(len(pool), rng.randint(3, 6)))
    events = []
    for i in range(rng.randint(2, most)):
        ids = rng.sample(pool, min(len(pool), rng.choice((1, 2, 2, 2, 3, 3, 4))))
        events.append(Event(i, tuple(sorted(ids)), rng.randint(0, 5)))
    inputs = [("Event", e.ids[0], e) for e in events]
    inputs += [m for m in inputs if rng.random() < 0.3]  # redelivered, at any later or earlier moment
    if split:
        for _ in range(rng.randint(1, 2)):
            e = rng.choice(events)
            out = frozenset(rng.sample(pool, rng.randint(1, max(1, len(pool) // 2))))
            inputs.append(("Split", e.ids[0], out))
    if forget:
        for _ in range(rng.randint(0, 2)):
            inputs.append(("Forget", rng.choice(pool), rng.randint(0, 6)))
    return events, inputs


def chain_history(rng):
    """A chain e1-e2-..-en linked from its larger end, with many events that hold one identifier only."""
    n = rng.randint(3, 6)
    ids = [ident("e%d" % i) for i in range(1, n + 1)]
    sets = [(ids[i], ids[i + 1]) for i in range(n - 2, -1, -1)]
    for i in range(rng.randint(3, 10)):
        sets.insert(rng.randint(0, len(sets)), (rng.choice(ids[1:]),))
    events = [Event(i, s, i) for i, s in enumerate(sets)]
    return events, [("Event", e.ids[0], e) for e in reversed(events)]  # inputs are popped in any order


def build(args, seed):
    rng = random.Random(seed)
    split = "split" in args.opts
    events, inputs = chain_history(rng) if "chain" in args.opts else history(
        rng, args.events, split, "forget" in args.opts)
    w = World(PROTOCOLS[args.protocol](), rng.randint(1, 5), args.limits, inputs, args.mode, rng.randint(0, 99), args.opts)
    return rng, events, w, split


def one(args, seed, trace=False):
    rng, events, w, split = build(args, seed)
    if trace:
        w.trace = []
    try:
        w.run(rng)
        return w, events, w.check(events, split), None
    except Violation as v:
        return w, events, 0, str(v)


def random_runs(args):
    bad = collections.Counter()
    first = {}
    msgs = most = n_events = left = 0
    t0 = time.time()
    for seed in range(args.seed, args.seed + args.runs):
        w, events, left_out, why = one(args, seed)
        if why:
            kind = why.split(":")[0].split(" ")[0] + " " + " ".join(x for x in why.split(":")[0].split(" ")[1:] if x.isalpha())
            bad[kind] += 1
            size = (len(events), sum(w.sent.values()))
            if kind not in first or size < first[kind][0]:
                first[kind] = (size, seed, why)
            continue
        k = sum(w.sent.values())
        msgs += k
        n_events += len(events)
        most = max(most, k / len(events))
        left += left_out
    print("%-16s limits=%-8s mode=%-6s opts=%-22s %d histories, %d violations; inbox messages per event mean %.2f max %.1f; "
          "%d pairs refused; %.0f s" % (args.protocol, args.limits, args.mode, ",".join(args.opts) or "-", args.runs, sum(bad.values()),
                                      msgs / max(1, n_events), most, left, time.time() - t0), flush=True)
    for kind, n in bad.most_common():
        size, seed, why = first[kind]
        print("    %6d x %-40s smallest: seed %d (%d events, %d messages): %s" % (n, kind, seed, size[0], size[1], why), flush=True)


def show_run(args):
    w, events, left, why = one(args, args.seed, trace=True)
    print("events:", " ".join("e%d%s" % (e.id, names(e.ids)) for e in events), " partitions:", w.P)
    print("\n".join(w.trace[: args.lines]))
    print("=>", why or "ok", dict(w.sent))


# ---------------------------------------------------------------- histories for other implementations
def listed(ids):
    return ",".join(name(i) for i in sorted(ids)) or "-"


def timed(ids):
    return ",".join("%s@%d" % (name(i), at) for i, at in sorted(ids.items())) or "-"


def told(c):
    """A customer in one line."""
    parts = ";".join("%s:%s" % (name(own), "+".join(map(str, ids))) for own, ids in sorted(c.parts.items())) or "-"
    return " ".join((listed(c.members), parts, listed(t for t in c.tried if t not in c.members), listed(c.shared), listed(c.expected), timed(c.forgotten)))


def because(ev):
    return "%s~%s@%d" % (name(ev[0]), name(ev[1]), ev[2])


def line(msg):
    """A message in one line: kind, receiver, and the rest in order."""
    kind, to, rest = msg[0], name(msg[1]), msg[2:]
    if kind == "Event":
        words = [rest[0].id]
    elif kind == "Observe":
        ev, own, routed, stamp = rest
        words = [ev.id, name(own), int(routed), "-" if stamp is None else "%s/%d/%d" % (name(stamp[0]), stamp[1], stamp[2])]
    elif kind == "Link":
        x, target, y, ev = rest
        words = [name(x), name(target), name(y), because(ev)]
    elif kind == "Ask":
        asker, members, x, y, forbid, forgotten, ev = rest
        words = [name(asker), listed(members), timed(forgotten), because(ev)]
    elif kind in ("Yes", "Point"):
        words = [name(rest[0])] + list(rest[1:])
    elif kind == "No":
        words = [because(rest[0])]
    elif kind == "Absorb":
        words = [name(rest[1]), told(rest[0])]
    elif kind == "Route":
        words = [rest[0], name(rest[1])]
    else:  # Forget
        words = [rest[0]]
    return " ".join(map(str, [kind, to] + words))


def state(n):
    route = "-" if n.route is None else "%d/%s" % (n.route[0], name(n.route[1]))
    if n.parent is not None:
        return "alias %s %d %s" % (name(n.parent), n.fwd, route)
    if n.cust is not None:
        return "root %s %s" % (told(n.cust), route)
    return None


def record(args):
    """One JSON object a line: what was delivered, in order, and what every node was in the end."""
    import gzip
    import json
    args.opts = ("compress", "route", "forget")
    cases = [(limits, mode) for mode in ("fifo", "kafka") for limits in LIMITS]
    with gzip.GzipFile(args.out, "wb", mtime=0) as out:
        for seed in range(args.runs):
            args.limits, args.mode = cases[seed % len(cases)]
            rng, events, w, split = build(args, seed)
            w.record = []
            w.run(rng)
            w.check(events)
            per, total = LIMITS[args.limits]
            states = {name(i): state(n) for i, n in sorted(w.nodes.items())}
            text = {
                "limits": list(per) + [total],
                "events": {str(e.id): [list(map(name, e.ids)), e.time] for e in events},
                "deliveries": w.record,
                "end": {i: s for i, s in states.items() if s is not None},
            }
            out.write((json.dumps(text, separators=(",", ":")) + "\n").encode())


# ---------------------------------------------------------------- every interleaving
def freeze(w):
    nodes = tuple((i, n.parent, n.asking, n.route, n.fwd if w.opts & {"compress"} else 0, tuple(sorted(n.seen)), str(n.deferred), str(w.arrived.get(i)),
                   None if n.cust is None else cust_key(n.cust)) for i, n in sorted(w.nodes.items()))
    free = isinstance(w.net, Free)
    net = str(sorted(("" if free else str(k), str([msg_key(m) for m in q])) for k, q in w.net.q.items() if q))
    return hash((nodes, net, str(sorted(map(str, w.inputs)))))


def cust_key(c):
    return str((sorted(c.members), sorted(c.parts.items()), sorted(c.tried), sorted(c.refused), sorted(c.shared), sorted(c.expected), sorted(c.gone.items())))


def msg_key(m):
    return tuple(cust_key(x) if isinstance(x, Customer) else sorted(x) if isinstance(x, frozenset) else x for x in m)


def explore(args, text, P, limits, opts=(), cap=400000, salt=0):
    events = [Event(i, tuple(sorted(ident(x) for x in part.split(","))), i) for i, part in enumerate(text.split())]
    start = World(PROTOCOLS[args.protocol](), P, limits, [("Event", e.ids[0], e) for e in events], "fifo", salt, opts)
    start.cap = 400
    stack, seen, ends, bad, most = [pickle.dumps(start)], {freeze(start)}, 0, collections.Counter(), 0
    while stack and len(seen) < cap:
        blob = stack.pop()
        acts = pickle.loads(blob).actions()
        for a in acts:
            w = pickle.loads(blob)
            try:
                w.act(a)
                key = freeze(w)
                if key in seen:
                    continue
                seen.add(key)
                if w.actions():
                    stack.append(pickle.dumps(w))
                else:
                    ends += 1
                    most = max(most, sum(w.sent.values()))
                    w.check(events)
            except Violation as v:
                bad[str(v)] += 1
    print("%-10s %-34s P=%d limits=%-8s opts=%-9s %7d states%s, %5d ends, at most %3d messages, %d violations %s" % (
        args.protocol, text, P, limits, ",".join(opts) or "-", len(seen), "" if not stack else " (cut)", ends, most, sum(bad.values()),
        bad.most_common(2) if bad else ""), flush=True)


def explore_all(job):
    """Every interleaving of one history, one identifier per partition. Returns (states, ends, messages, violations)."""
    protocol, events, limits, mode, opts, cap = job
    ids = sorted({i for e in events for i in e.ids})
    start = World(PROTOCOLS[protocol](), len(ids), limits, [("Event", e.ids[0], e) for e in events], mode, 0, opts)
    start.place = {i: k for k, i in enumerate(ids)}
    start.cap = 300
    stack, seen, ends, bad, most = [pickle.dumps(start, -1)], set(), 0, collections.Counter(), 0
    while stack and len(seen) < cap:
        blob = stack.pop()
        for a in pickle.loads(blob).actions():
            w = pickle.loads(blob)
            try:
                w.act(a)
                key = freeze(w)
                if key in seen:
                    continue
                seen.add(key)
                if w.actions():
                    stack.append(pickle.dumps(w, -1))
                else:
                    ends += 1
                    most = max(most, sum(w.sent.values()))
                    w.check(events)
            except Violation as v:
                bad[str(v).split(":")[0].split(" ")[0]] += 1
    return len(seen), ends, most, bad, bool(stack), events


def exhaustive(args):
    import itertools
    import multiprocessing
    for pool, limits, n in (("u1 u2 e1 a1", "default", 3), ("e1 e2 e3 e4", "two", 3), ("u1 e1 a1 a2", "none", 3), ("u1 u2 a1", "default", 4)):
        pool = [ident(x) for x in pool.split()]
        sets = [c for k in (1, 2, 3) for c in itertools.combinations(pool, k)]
        jobs = [(args.protocol, [Event(i, s, i) for i, s in enumerate(h)], limits, args.mode, args.opts, 60000)
                for h in itertools.combinations_with_replacement(sets, n)]
        t0 = time.time()
        states = ends = most = cut = 0
        bad, broken = collections.Counter(), 0
        with multiprocessing.Pool(2) as procs:
            for s, e, m, b, c, ev in procs.imap_unordered(explore_all, jobs, 8):
                states, ends, most, cut = states + s, ends + e, max(most, m), cut + c
                bad.update(b)
                broken += bool(b)
        print("exhaustive %-10s %s limits=%-8s mode=%s opts=%s: %d histories (%d cut short), %d states, %d end states, at most %d messages, "
              "%d histories with a violation %s; %.0f s" % (args.protocol, names(pool), limits, args.mode, ",".join(args.opts) or "-", len(jobs), cut,
                                                   states, ends, most, broken, dict(bad), time.time() - t0), flush=True)


TINY = [
    ("u1,a1 u2,a1", "default"),
    ("u1,e1 u1,e2 e1,e2", "none"),
    ("e1,a1 e2,a1 e3,a1", "none"),
    ("u1,e1 u2,e1 e1", "default"),
    ("u1,e1 e1,a1 u2,a1", "default"),
    ("u1,u2 u2,u3 u1,u3", "two"),
    ("e2,e3 e1,e2 e3", "one"),
    ("e3,e4 e2,e3 e1,e2", "two"),
]


# ---------------------------------------------------------------- costs
def costs(args):
    def go(label, evs, limits="none", mode="fifo", opts=(), P=8, tries=20, order=None, after=None):
        tot, worst, deferred = 0, 0, 0
        kinds = collections.Counter()
        for seed in range(tries):
            rng = random.Random(seed)
            events = [Event(i, tuple(sorted(ident(x) for x in e.split(","))), i) for i, e in enumerate(evs)]
            inputs = [("Event", e.ids[0], e) for e in events]
            w = World(PROTOCOLS[args.protocol](), P, limits, inputs if not order else [], mode, seed, opts)
            w.cap = 10**7
            if order:  # one event after another, each to the end
                for m in inputs:
                    w.inputs = [m]
                    w.run(rng)
            else:
                w.run(rng)
            w.check(events)
            if after:
                before = sum(w.sent.values())
                extra = [Event(10**5 + i, tuple(sorted(ident(x) for x in e.split(","))), 99) for i, e in enumerate(after)]
                for e in extra:
                    w.inputs.append(("Event", e.ids[0], e))
                    if order:
                        w.run(rng)
                w.run(rng)
                w.check(events + extra)
                k, n = sum(w.sent.values()) - before, len(extra)
            else:
                k, n = sum(w.sent.values()), len(events)
            deferred = max(deferred, w.deferred)
            tot += k / n
            worst = max(worst, k / n)
            kinds.update(w.sent)
        kinds["(most deferred)"] = deferred * tries
        print("%-66s messages per event: mean %6.2f max %6.2f   %s" % (
            label, tot / tries, worst, "" if after else " ".join("%s %.1f" % (k, v / tries) for k, v in kinds.most_common())), flush=True)

    go("one event {u1,e1,a1}, all new", ["u1,e1,a1"])
    go("{u1,a1}, a1 has a customer", ["a1", "u1,a1"], order=True)
    go("steady: 50 x {u1,e1,a1} after one", ["u1,e1,a1"], after=["u1,e1,a1"] * 50)
    go("steady: 50 x {a1} at an alias", ["u1,a1"], after=["a1"] * 50)
    go("refused pair {u1,u2} 50 times, limit 1", ["u1,u2"], "default", after=["u1,u2"] * 50)
    go("refused pair {u1,a1}{u2,a1}, then 50 x {u2,a1}", ["u1,a1", "u2,a1"], "default", after=["u2,a1"] * 50)
    for n in (10, 30, 100):
        go("chain of %d, larger links first, one at a time" % n, ["e%d,e%d" % (i, i + 1) for i in range(n - 1, 0, -1)], order=True, tries=3)
        go("chain of %d, smaller links first, one at a time" % n, ["e%d,e%d" % (i, i + 1) for i in range(1, n)], order=True, tries=3)
        go("chain of %d, all at once" % n, ["e%d,e%d" % (i, i + 1) for i in range(n - 1, 0, -1)], tries=5)
    go("chain of 100 then 100 x {e100}", ["e%d,e%d" % (i, i + 1) for i in range(99, 0, -1)], order=True, tries=3, after=["e100"] * 100)
    if args.protocol == "askfirst":
        go("chain of 100 then 100 x {e100}, compression", ["e%d,e%d" % (i, i + 1) for i in range(99, 0, -1)], order=True, tries=3,
           after=["e100"] * 100, opts=("compress",))
    go("star of 100 anonymous ids on u1, all at once", ["u1,a%d" % i for i in range(1, 101)], tries=5)
    go("star of 100 customers a1..a100 on u1, all at once", ["a%d" % i for i in range(1, 101)] + ["u1,a%d" % i for i in range(1, 101)], tries=5)
    go("star of 100 anonymous ids, limit 5", ["u1,a%d" % i for i in range(1, 101)], "default", tries=5)
    go("hot a1: 100 users on one device, limit 1 user", ["u%d,a1" % i for i in range(1, 101)], "default", tries=5)
    go("hot a1: again 100 events of the same users", ["u%d,a1" % i for i in range(1, 101)], "default", tries=5, after=["u%d,a1" % i for i in range(1, 101)])
    go("three-way race e1,e2 e2,e3 e1,e3", ["e1,e2", "e2,e3", "e1,e3"], tries=200)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("what", choices=["random", "explore", "exhaustive", "costs", "show", "record"])
    ap.add_argument("--protocol", default="askfirst", choices=PROTOCOLS)
    ap.add_argument("--limits", default="default", choices=LIMITS)
    ap.add_argument("--mode", default="fifo", choices=MODES)
    ap.add_argument("--opts", default="", help="of compress,route,split,expire,strict,busy,chain; mutants: hasty,eager")
    ap.add_argument("--runs", type=int, default=1000)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--events", type=int, default=7)
    ap.add_argument("--lines", type=int, default=80)
    ap.add_argument("--out", default="histories.ndjson.gz")
    args = ap.parse_args()
    args.opts = tuple(o for o in args.opts.split(",") if o)
    if args.what == "random":
        random_runs(args)
    elif args.what == "show":
        show_run(args)
    elif args.what == "costs":
        costs(args)
    elif args.what == "record":
        record(args)
    elif args.what == "exhaustive":
        exhaustive(args)
    else:
        for text, limits in TINY:
            for P in (2, 3):
                explore(args, text, P, limits)


if __name__ == "__main__":
    main()
