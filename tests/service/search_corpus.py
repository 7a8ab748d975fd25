"""A few operations documents for the tests of search and context packs."""

from __future__ import annotations

from tests.ingestion.corpora import markdown

GATEWAY = """# Gateway 502

Customers or the portal get HTTP 502 from the gateway. The error code in the response says which case it is.

## Codes

`GH-5021` means that no healthy upstream exists for the route. `GH-5022` means that the upstream closed the
connection before it sent headers.

## Restart the gateway

Announce it first. Then restart all instances one after the other:

```bash
kubectl rollout restart deployment/gateway
```

Every instance waits 120 seconds for open requests to finish before it stops.
"""
BILLING = """# Billing errors

The invoice run holds a lock while it works. `LDG-1107` means that the lock is held by a session that does nothing.

## Clear the lock

Check that the session is idle in transaction, then end it. A refund is paid within 30 days of the claim.
"""
KAFKA = """# Kafka consumer lag

When the tracker falls behind, the consumer lag grows and scans arrive late in the portal.

## Scale the consumers

Add consumers up to the number of partitions, then watch the lag fall. Never reset offsets while customers wait.
"""
HOLIDAYS = """# Office holidays

The office is closed on public holidays. Ask the office manager for keys to the building.
"""

DOCUMENTS = (
    markdown("gateway", GATEWAY, metadata={"team": "edge"}),
    markdown("billing", BILLING, metadata={"team": "payments"}),
    markdown("kafka", KAFKA, metadata={"team": "tracking"}),
    markdown("holidays", HOLIDAYS, collection="office"),
)
