"""Writes what train.py found: model.yaml, golden_orders.json and CARD.md."""

import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent


def write(out, facts, model, metrics, golden, cases):
    out.mkdir(parents=True, exist_ok=True)
    texts = {
        "model.yaml": model_yaml(facts, model, metrics, golden),
        "golden_orders.json": golden_orders(facts["currency"], cases),
        "CARD.md": card(facts, model, metrics),
    }
    for name, text in texts.items():
        (out / name).write_bytes(text.encode("utf-8"))


def number(value):
    """The shortest text that reads back as the same double."""
    return "null" if value is None else repr(float(value))


def model_yaml(facts, model, metrics, golden):
    features = []
    for name, *numbers in zip(facts["features"], model.coefficient, model.mean, model.scale):
        coefficient, mean, scale = map(number, numbers)
        missing = f"{{value: {mean}}}" if name == facts["gap"] else "no_score"
        features.append(
            f"  - {{name: {name}, coefficient: {coefficient}, mean: {mean}, scale: {scale}, missing: {missing}}}"
        )
    vectors = []
    for values, score in golden:
        inputs = [f"{name}: {number(value)}" for name, value in zip(facts["features"], values)]
        vectors.append(
            f"  - inputs: {{{', '.join(inputs[:4])},\n             {', '.join(inputs[4:])}}}\n    score: {number(score)}"
        )
    low, high = metrics["auc_interval"]
    cutoffs, (rows, rows_holdout), (people, people_holdout) = facts["cutoffs"], facts["rows"], facts["customers"]
    return f"""\
# Written by train.py: change that and run it again. CARD.md says what this model is and what it is not for.
#
# score = 1 / (1 + exp(-(intercept + sum of coefficient * (value - mean) / scale))), summed in the order below.
# `missing` is what stands in for a feature without a value; `no_score` means that there is no score then.
# The golden vectors must reproduce to 1e-12 before the model may be used.
format: 1
name: {facts["name"]}
version: "{facts["version"]}"
kind: linear
description: Probability that a customer who has bought at least once buys again within the next {facts["horizon"]} days.
currency: {facts["currency"]}  # only orders in it count for mean_order_value_log
output: {{kind: probability, link: logistic}}
intercept: {number(model.intercept)}
features:
{chr(10).join(features)}
golden:
{chr(10).join(vectors)}
trained_on:
  data: CDNOW master data set, orders.csv as prepare.py makes it
  data_sha256: "{facts["sha256"]}"
  amount_factor: {facts["amount_factor"]}
  first_cutoff: "{cutoffs[0]}"
  last_cutoff: "{cutoffs[-1]}"
  cutoffs: {len(cutoffs)}
  label_days: {facts["horizon"]}
  rows: {rows}
  customers: {people}
  rows_holdout: {rows_holdout}
  customers_holdout: {people_holdout}
metrics:
  base_rate_train: {metrics["base_rate_train"]:.4f}
  base_rate_holdout: {metrics["base_rate"]:.4f}
  auc_train: {metrics["auc_train"]:.4f}
  auc_holdout: {metrics["auc"]:.4f}
  auc_holdout_interval_95: [{low:.4f}, {high:.4f}]
  auc_recency_only_holdout: {metrics["auc_recency"]:.4f}
  auc_later_in_time_holdout: {metrics["later"]["auc"]:.4f}
  log_loss_holdout: {metrics["log_loss"]:.4f}
  log_loss_recency_only_holdout: {metrics["log_loss_recency"]:.4f}
  log_loss_base_rate_holdout: {metrics["log_loss_constant"]:.4f}
  brier_holdout: {metrics["brier"]:.4f}
"""


def golden_orders(currency, cases):
    """One order per line, so that a change can be read."""
    blocks = []
    for case in cases:
        orders = ",\n".join(f"    {json.dumps(order)}" for order in case["orders"])
        features = ",\n".join(f"    {json.dumps(name)}: {number(v)}" for name, v in case["features"].items())
        blocks.append(
            f'  {{\n   "why": {json.dumps(case["why"])},\n   "customer": {json.dumps(case["customer"])},\n'
            f'   "now_ms": {case["now_ms"]},\n   "orders": [\n{orders}\n   ],\n'
            f'   "features": {{\n{features}\n   }},\n   "score": {number(case["score"])}\n  }}'
        )
    return f'{{\n "currency": {json.dumps(currency)},\n "cases": [\n' + ",\n".join(blocks) + "\n ]\n}\n"


def table(rows):
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def card(facts, model, metrics):
    m, later = metrics, metrics["later"]
    low, high = m["auc_interval"]
    (rows, rows_holdout), (people, people_holdout) = facts["rows"], facts["customers"]
    values = {
        "name": facts["name"],
        "version": facts["version"],
        "sha256": facts["sha256"],
        "factor": facts["amount_factor"],
        "first": facts["cutoffs"][0],
        "last": facts["cutoffs"][-1],
        "cutoffs": len(facts["cutoffs"]),
        "rows": f"{rows:,}",
        "people": f"{people:,}",
        "rows_holdout": f"{rows_holdout:,}",
        "people_holdout": f"{people_holdout:,}",
        "auc": f"{m['auc']:.3f}",
        "auc_low": f"{low:.3f}",
        "auc_high": f"{high:.3f}",
        "auc_train": f"{m['auc_train']:.3f}",
        "base": f"{m['base_rate']:.4f}",
        "brier": f"{m['brier']:.4f}",
        "later_trained": facts["later_trained"][-1],
        "later_tested": facts["later_tested"][0],
        "later_auc": f"{later['auc']:.3f}",
        "later_recency": f"{later['auc_recency']:.3f}",
        "later_score": f"{later['mean_score']:.3f}",
        "later_base": f"{later['base_rate']:.3f}",
        "comparison": table([
            ("**this model**", f"**{m['auc']:.3f}**", f"**{m['log_loss']:.4f}**"),
            ("days since the last order alone", f"{m['auc_recency']:.3f}", f"{m['log_loss_recency']:.4f}"),
            ("number of orders alone", f"{m['auc_orders']:.3f}", f"{m['log_loss_orders']:.4f}"),
            ("the base rate for everybody", "0.500", f"{m['log_loss_constant']:.4f}"),
        ]),
        "coefficients": table(
            (f"`{name}`", f"{coefficient:+.3f}") for name, coefficient in zip(facts["features"], model.coefficient)
        ),
        "calibration": table(
            (str(i), f"{n:,}", f"{score:.4f}", f"{share:.4f}") for i, (n, score, share) in enumerate(m["calibration"], 1)
        ),
        "by_cutoff": table(
            (str(date), f"{n:,}", f"{score:.3f}", f"{share:.3f}", f"{auc:.3f}", f"{recency:.3f}")
            for date, n, share, score, auc, recency in m["by_cutoff"]
        ),
    }
    text = (HERE / "CARD.template.md").read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace("{{" + key + "}}", str(value))
    assert "{{" not in text, "CARD.template.md asks for a value that is not here"
    return text
