"""Trains buys_again_90d and writes model.yaml, golden_orders.json and CARD.md.

    python train.py --orders orders.csv [--out DIRECTORY]

`features` below is the reference for the feature code of the worker: golden_orders.json holds what it says for real
customers. Two runs write the same bytes: nothing here reads the clock, the split is a hash of the customer, and the
fitted numbers are rounded far below their own uncertainty and far above the noise of the linear algebra.
"""

import argparse
import csv
import datetime as dt
import hashlib
import itertools
import math
import pathlib
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

import report

NAME = "buys_again_90d"
VERSION = "2026-11-1"
ORDERS_SHA256 = "c8c2299744530ba581aea30e61752710de990b3028c675268acae2841e425c47"
AMOUNT_FACTOR = 5  # the example shop sells at five times CDNOW's prices
CURRENCY = "USD"
MINOR_PER_MAJOR = 100
DAY_MS = 86_400_000
HORIZON_DAYS = 90  # of the label, and of orders_90d_log
CUTOFFS = [dt.date(1997, 2, 1) + dt.timedelta(days=30 * i) for i in range(15)]
LATER_TRAINED = CUTOFFS[:10]  # the last of these 90 days end where the first of LATER_TESTED begins
LATER_TESTED = CUTOFFS[12:]
TRAIN_PERCENT = 70
DECIMALS = 6
BOOTSTRAPS = 200

FEATURES = [
    "orders_log",
    "orders_90d_log",
    "days_since_last_order_log",
    "days_since_first_order_log",
    "mean_gap_days_log",
    "mean_order_value_log",
    "units_log",
]
GAP = FEATURES.index("mean_gap_days_log")
RECENCY = FEATURES.index("days_since_last_order_log")
ORDERS = FEATURES.index("orders_log")


class Order(NamedTuple):
    at_ms: int
    total_minor: int
    units: int


def midnight_ms(date):
    return (date - dt.date(1970, 1, 1)).days * DAY_MS


def load(path):
    """Orders of each customer, oldest first. The source has no time of day: noon UTC stands in for it."""
    raw = pathlib.Path(path).read_bytes()
    if hashlib.sha256(raw).hexdigest() != ORDERS_SHA256:
        raise SystemExit(f"{path} is not the orders.csv this model is trained on; prepare.py makes it")
    customers = {}
    for row in csv.DictReader(raw.decode("ascii").splitlines()):
        whole, cents = row["amount"].split(".")
        order = Order(
            midnight_ms(dt.date.fromisoformat(row["date"])) + DAY_MS // 2,
            (int(whole) * 100 + int(cents)) * AMOUNT_FACTOR,
            int(row["quantity"]),
        )
        customers.setdefault(int(row["customer_id"]), []).append(order)
    return {customer: sorted(orders, key=lambda o: o.at_ms) for customer, orders in sorted(customers.items())}


def features(orders, now_ms):
    """Values in the order of FEATURES, from the orders at or before `now_ms`; None is missing."""
    known = [order for order in orders if order.at_ms <= now_ms]
    if not known:
        return [None] * len(FEATURES)
    count = len(known)
    first, last = min(o.at_ms for o in known), max(o.at_ms for o in known)
    recent = sum(1 for o in known if now_ms - o.at_ms < HORIZON_DAYS * DAY_MS)
    gap = math.log(1 + (last - first) / DAY_MS / (count - 1)) if count >= 2 else None
    return [
        math.log(1 + count),
        math.log(1 + recent),
        math.log(1 + (now_ms - last) / DAY_MS),
        math.log(1 + (now_ms - first) / DAY_MS),
        gap,
        math.log(1 + sum(o.total_minor for o in known) / count / MINOR_PER_MAJOR),
        math.log(1 + sum(o.units for o in known)),
    ]


def buys_again(orders, now_ms):
    return any(0 < order.at_ms - now_ms <= HORIZON_DAYS * DAY_MS for order in orders)


def is_training(customer):
    """By customer, not by row: rows of one customer resemble each other, and a split by row would flatter the model."""
    digest = hashlib.sha256(f"{NAME}:{customer}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100 < TRAIN_PERCENT


class Rows(NamedTuple):
    customer: np.ndarray
    cutoff: np.ndarray  # index into CUTOFFS
    x: np.ndarray  # NaN is missing
    y: np.ndarray

    def where(self, mask):
        return Rows(*(column[mask] for column in self))


def observe(customers):
    """One row per customer and cut-off, from the first cut-off after the first order on."""
    rows = []
    for (customer, orders), (index, date) in itertools.product(customers.items(), enumerate(CUTOFFS)):
        now = midnight_ms(date)
        if orders[0].at_ms <= now:
            values = [math.nan if v is None else v for v in features(orders, now)]
            rows.append((customer, index, values, buys_again(orders, now)))
    return Rows(*(np.array(column) for column in zip(*rows)))


class Model(NamedTuple):
    intercept: float
    coefficient: list
    mean: list
    scale: list

    def score(self, values):
        """One customer, as the worker does it. None if a feature is missing that nothing stands in for."""
        filled = [self.mean[GAP] if v is None and i == GAP else v for i, v in enumerate(values)]
        if None in filled:
            return None
        z = self.intercept
        for value, coefficient, mean, scale in zip(filled, self.coefficient, self.mean, self.scale):
            z += coefficient * (value - mean) / scale
        return 1 / (1 + math.exp(-z))

    def scores(self, x):
        return np.array([self.score([None if math.isnan(v) else v for v in row]) for row in x.tolist()])


def rounded(numbers):
    return [round(float(number), DECIMALS) for number in numbers]


def fit(rows):
    """The mean gap of one-time buyers is filled with the mean of the others, and then says nothing about them."""
    means = rounded(np.nanmean(rows.x, axis=0))
    filled = np.where(np.isnan(rows.x), means, rows.x)
    scales = rounded(filled.std(axis=0))
    regression = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10, max_iter=100)
    regression.fit((filled - means) / scales, rows.y)
    intercept, *coefficients = rounded([*regression.intercept_, *regression.coef_[0]])
    return Model(intercept, coefficients, means, scales)


def alone(train, test, column):
    """Scores of a logistic regression on one feature alone."""
    regression = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10)
    regression.fit(train.x[:, [column]], train.y)
    return regression.predict_proba(test.x[:, [column]])[:, 1]


def auc_interval(rows, scores):
    """95 % interval of the AUC, by drawing customers (not rows) with replacement."""
    rng = np.random.default_rng(90)
    _, index = np.unique(rows.customer, return_inverse=True)
    size = index.max() + 1
    draws = (np.bincount(rng.integers(size, size=size), minlength=size)[index] for _ in range(BOOTSTRAPS))
    aucs = [roc_auc_score(rows.y, scores, sample_weight=weights) for weights in draws]
    return np.percentile(aucs, [2.5, 97.5]).tolist()


def calibration(rows, scores):
    """Ten equal groups by score: rows, mean score, share that bought."""
    order = np.argsort(scores, kind="stable")
    return [(len(g), scores[g].mean(), rows.y[g].mean()) for g in np.array_split(order, 10)]


def by_cutoff(rows, scores):
    for index, date in enumerate(CUTOFFS):
        here = rows.cutoff == index
        y, s, recency = rows.y[here], scores[here], -rows.x[here, RECENCY]
        yield date, len(y), y.mean(), s.mean(), roc_auc_score(y, s), roc_auc_score(y, recency)


def later_in_time(train, test):
    """Fitted on early cut-offs only, tested on other customers at cut-offs after the last label it saw."""
    early = train.where(train.cutoff < len(LATER_TRAINED))
    late = test.where(test.cutoff >= len(CUTOFFS) - len(LATER_TESTED))
    scores = fit(early).scores(late.x)
    return {
        "auc": roc_auc_score(late.y, scores),
        "auc_recency": roc_auc_score(late.y, -late.x[:, RECENCY]),
        "mean_score": scores.mean(),
        "base_rate": late.y.mean(),
    }


def evaluate(model, train, test):
    scores = model.scores(test.x)
    recency, orders = alone(train, test, RECENCY), alone(train, test, ORDERS)
    constant = np.full(len(test.y), train.y.mean())
    return {
        "base_rate": test.y.mean(),
        "base_rate_train": train.y.mean(),
        "auc": roc_auc_score(test.y, scores),
        "auc_interval": auc_interval(test, scores),
        "auc_train": roc_auc_score(train.y, model.scores(train.x)),
        "auc_recency": roc_auc_score(test.y, recency),
        "auc_orders": roc_auc_score(test.y, orders),
        "log_loss": log_loss(test.y, scores),
        "log_loss_recency": log_loss(test.y, recency),
        "log_loss_orders": log_loss(test.y, orders),
        "log_loss_constant": log_loss(test.y, constant),
        "brier": np.mean((scores - test.y) ** 2),
        "calibration": calibration(test, scores),
        "by_cutoff": list(by_cutoff(test, scores)),
        "later": later_in_time(train, test),
    }


def golden_inputs(test, scores):
    """Held-out rows from the lowest score to the highest, and one that nobody in the data resembles."""
    order = np.argsort(scores, kind="stable")
    picks = [order[round(q * (len(order) - 1))] for q in (0, 0.05, 0.25, 0.5, 0.7, 0.8, 0.9, 0.97, 0.999, 1)]
    vectors = [[None if math.isnan(v) else round(v, DECIMALS) for v in test.x[i].tolist()] for i in picks]
    return vectors + [[6.0, 5.0, 0.0, 8.0, 2.0, 9.5, 7.5]]


def golden_customers(customers):
    """(why, customer, orders, now) for the worker's feature code: held-out customers, and every edge of a feature."""
    held_out = {c: o for c, o in customers.items() if not is_training(c)}

    def find(predicate):
        return next((c, o) for c, o in held_out.items() if predicate(o))

    last_cutoff = midnight_ms(CUTOFFS[-1])
    edges = [
        ("one order: no gap", lambda o: len(o) == 1, lambda o: last_cutoff),
        ("two orders at the same moment: a gap of 0", lambda o: len(o) == 2 and o[0].at_ms == o[1].at_ms,
         lambda o: last_cutoff),
        ("an order at `now` counts", lambda o: len(o) == 3, lambda o: o[-1].at_ms),
        ("an order of exactly 90 days ago is not in orders_90d_log", lambda o: len(o) == 4,
         lambda o: o[-1].at_ms + HORIZON_DAYS * DAY_MS),
        ("one millisecond less than 90 days ago is", lambda o: len(o) == 5,
         lambda o: o[-1].at_ms + HORIZON_DAYS * DAY_MS - 1),
        ("an order without revenue is an order", lambda o: len(o) == 2 and 0 in (o[0].total_minor, o[1].total_minor),
         lambda o: last_cutoff + 12_345_678),
        ("many orders", lambda o: len(o) >= 25, lambda o: last_cutoff),
        ("orders after `now` do not count", lambda o: len(o) == 6 and o[2].at_ms < midnight_ms(CUTOFFS[5]) < o[-1].at_ms,
         lambda o: midnight_ms(CUTOFFS[5])),
        ("no order yet: nothing is known, no score", lambda o: len(o) == 1 and o[0].at_ms > midnight_ms(CUTOFFS[0]),
         lambda o: midnight_ms(CUTOFFS[0])),
    ]
    for why, predicate, now in edges:
        customer, orders = find(predicate)
        yield why, customer, orders, now(orders)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", required=True, help="orders.csv, made by prepare.py")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent)
    arguments = parser.parse_args()

    customers = load(arguments.orders)
    rows = observe(customers)
    training = {customer for customer in customers if is_training(customer)}
    mask = np.isin(rows.customer, sorted(training))
    train, test = rows.where(mask), rows.where(~mask)
    model = fit(train)
    metrics = evaluate(model, train, test)

    golden = [(values, model.score(values)) for values in golden_inputs(test, model.scores(test.x))]
    cases = []
    for why, customer, orders, now in golden_customers(customers):
        values = features(orders, now)
        cases.append({
            "why": why,
            "customer": f"cdnow-{customer:05d}",
            "now_ms": now,
            "orders": [order._asdict() for order in orders],
            "features": dict(zip(FEATURES, values)),
            "score": model.score(values),
        })
    facts = {
        "name": NAME, "version": VERSION, "features": FEATURES, "gap": FEATURES[GAP], "currency": CURRENCY,
        "amount_factor": AMOUNT_FACTOR, "sha256": ORDERS_SHA256, "cutoffs": CUTOFFS, "horizon": HORIZON_DAYS,
        "later_trained": LATER_TRAINED, "later_tested": LATER_TESTED,
        "rows": (len(train.y), len(test.y)),
        "customers": (len(np.unique(train.customer)), len(np.unique(test.customer))),
    }
    report.write(arguments.out, facts, model, metrics, golden, cases)


if __name__ == "__main__":
    main()
