"""Makes orders.csv, the input of train.py, from CDNOW_master.txt (standard library only).

CDNOW_master.txt is a file of the Python package `lifetimes` 0.11.3; see CARD.md.

    python prepare.py CDNOW_master.txt orders.csv
"""

import hashlib
import pathlib
import sys

MASTER_SHA256 = "eff6889ed364c5199d6eacbbeb7a6d559971df4406ac876f322c373f00a072ef"


def main():
    source, target = sys.argv[1:]
    raw = pathlib.Path(source).read_bytes()
    if hashlib.sha256(raw).hexdigest() != MASTER_SHA256:
        sys.exit(f"{source} is not the CDNOW_master.txt of lifetimes 0.11.3")
    lines = ["customer_id,date,quantity,amount"]
    for line in raw.decode("ascii").splitlines():
        fields = line.split()
        # Each row must become exactly one order: 255 rows equal an earlier one and are real purchases.
        if len(fields) == 4 and fields[0].isdigit():
            customer, day, quantity, amount = fields
            date = f"{day[:4]}-{day[4:6]}-{day[6:]}"
            whole, _, cents = amount.partition(".")
            lines.append(f"{int(customer)},{date},{int(quantity)},{int(whole or 0)}.{cents:0<2}")
    pathlib.Path(target).write_bytes(("\n".join(lines) + "\n").encode("ascii"))


if __name__ == "__main__":
    main()
