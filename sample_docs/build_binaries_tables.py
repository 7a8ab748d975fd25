"""Contents of the XLSX and PPTX sample documents."""

from __future__ import annotations

from datetime import date, timedelta

from build_binaries_model import Cells, Deck, Sheet, Slide, Workbook, sheet_rows, table

_ROTA_START = date(2026, 4, 1)
_ROTA_TEAMS: dict[str, tuple[str, ...]] = {
    "Edge": ("E1", "E2", "E3", "E4", "E5"),
    "Parcel Core": ("PC1", "PC2", "PC3", "PC4", "PC5", "PC6"),
    "Money": ("M1", "M2", "M3", "M4"),
    "Depot Systems": ("D1", "D2", "D3", "D4", "D5"),
    "Last Mile": ("L1", "L2", "L3", "L4", "L5"),
    "Platform": ("P1", "P2", "P3", "P4", "P5", "P6"),
}


def _rota_rows() -> tuple[Cells, ...]:
    """Thirteen weeks; the secondary of a week is the primary of the next one."""
    rows: list[Cells] = [("Week from (Wed 10:00 UTC)", "Week to", "Team", "Primary", "Secondary")]
    for week in range(13):
        start = _ROTA_START + timedelta(weeks=week)
        for team, people in _ROTA_TEAMS.items():
            primary = people[week % len(people)]
            secondary = people[(week + 1) % len(people)]
            rows.append((start, start + timedelta(weeks=1), team, primary, secondary))
    return tuple(rows)


ROTA = Workbook(
    path="oncall/rota-2026-q2.xlsx",
    title="On-call rota, second quarter 2026",
    sheets=(
        Sheet("Rota", _rota_rows(), (26, 14, 18, 12, 12)),
        Sheet(
            "Commanders",
            sheet_rows(
                "Month | Incident commander by day (06-18 UTC) | By night (18-06 UTC)",
                "April 2026 | Platform lead | Edge lead",
                "May 2026 | Parcel Core lead | Money lead",
                "June 2026 | Last Mile lead | Depot Systems lead",
            ),
            (14, 38, 26),
        ),
        Sheet(
            "Swaps",
            sheet_rows(
                "Date | Team | Instead of | Takes over | Entered on",
                "2026-04-18 | Money | M3 | M1 | 2026-04-14",
                "2026-05-02 | Edge | E5 | E2 | 2026-04-27",
                "2026-05-23 | Platform | P2 | P6 | 2026-05-19",
            ),
            (14, 18, 14, 14, 14),
        ),
    ),
)

_SERVICES = """\
Service | Team | Tier | Version | Namespace | Port | Health path |\
 Replicas north | Replicas south (failover) | Database | Deploys on Fridays
gatehouse | Edge | 1 | 4.8.1 | edge | 8443 | /healthz | 6 | 6 | - | yes
tracker | Parcel Core | 1 | 3.12.0 | parcel | 8081 | /live | 24 | 24 | tracker | yes
addrbook | Parcel Core | 1 | 2.3.7 | parcel | 8089 | /live | 8 | 6 | addrbook | yes
ledgerd | Money | 2 | 5.6.2 | money | 8090 | /actuator/health | 4 | 4 | ledger | no
sortline | Depot Systems | 1 | 2.19.4 | depot | 8085 | /ready | 2 | 2 | sortline | no
labelpress | Depot Systems | 1 | 1.14.0 | depot | 8086 | /healthz | 12 | 10 | - | yes
courier-bff | Last Mile | 1 | 4.18.3 | lastmile | 8087 | /live | 10 | 10 | courier | yes
notify | Last Mile | 2 | 3.3.1 | lastmile | 8088 | /healthz | 6 | 4 | notify | yes
dockside | Shipper Experience | 2 | 2026.4 | shipper | 3000 | /api/health | 4 | 3 | dockside | no
"""

CATALOGUE = Workbook(
    path="reference/service-catalogue.xlsx",
    title="Service catalogue",
    sheets=(
        Sheet(
            "Services",
            sheet_rows(*_SERVICES.splitlines()),
            (14, 20, 6, 10, 12, 8, 18, 14, 24, 12, 18),
        ),
        Sheet(
            "Hosts",
            sheet_rows(
                "Host | Address | Role | Owner | Memory GB",
                "pg-main-1 | 10.40.12.11 | Postgres 16.6 | Platform | 256",
                "pg-main-2 | 10.40.12.12 | Postgres 16.6 | Platform | 256",
                "pg-main-3 | 10.40.12.13 | Postgres 16.6 | Platform | 256",
                "kfk-1 to kfk-5 | 10.40.14.21 to .25 | Kafka 3.9.1 | Platform | 64",
                "rds-hot-1 to rds-hot-3 | 10.40.16.31 to .33 | Redis 7.4 | Platform | 32",
                "gw-01 to gw-04 | 10.40.8.1 to .4 | old gateway, cold reserve | Edge | 16",
            ),
            (24, 22, 28, 12, 12),
        ),
    ),
)

REVIEW = Deck(
    path="reviews/ops-review-2026-q1.pptx",
    title="Operations review, first quarter 2026",
    subtitle="Platform lead and Head of Support, 9 April 2026",
    slides=(
        Slide(
            "The quarter in four numbers",
            (
                "2 SEV1, 5 SEV2 (fourth quarter 2025: 4 and 7)",
                "Median time to acknowledge: 3 minutes",
                "71 % of pages led to an action; target is 80 %",
                "Contacts per 1,000 parcels: 1.9, down from 2.4",
            ),
            notes="The drop in contacts is mostly the new delivery-day link in the text message.",
        ),
        Slide(
            "Where the pages came from",
            grid=table(
                "Team | Pages | At night | Noisiest alert",
                "Edge | 31 | 6 | cert_days_left",
                "Parcel Core | 58 | 19 | tracker_consumer_lag",
                "Money | 22 | 14 | ledgerd_invoice_run_overdue",
                "Depot Systems | 64 | 41 | sortline_plan_not_published",
                "Last Mile | 27 | 5 | notify_receipts_low",
                "Platform | 39 | 12 | kafka_disk_used",
            ),
            notes="Depot Systems works at night by nature. 22 of the 41 were one depot, D14.",
        ),
        Slide(
            "11 February: stale tracking",
            (
                "Rebalance storm in tracker-main after a slower base image",
                "Static membership since 3.11, no repeat",
                "Cost: 3,870 contacts and the freshness objective of February",
            ),
        ),
        Slide(
            "Spend on shared systems, EUR per month",
            grid=table(
                "Item | January | February | March",
                "Clusters north and south | 61,400 | 61,900 | 63,200",
                "Text messages | 38,100 | 36,700 | 40,300",
                "Object store | 9,800 | 10,100 | 10,600",
                "Map tiles | 4,200 | 4,200 | 6,900",
            ),
            notes="Map tiles: price per view went up on 1 March. Last Mile is testing new tiles.",
        ),
        Slide(
            "Decisions for the second quarter",
            (
                "Kafka to 6 TB disks, 22 April (Platform)",
                "Switch off TLS 1.2 on 1 September, letters to 84 shippers in May (Edge)",
                "Lower the page volume of Depot Systems by a third (Depot Systems)",
                "Second chat shift for Support from 1 June, 20:00 to 24:00 UTC (Support)",
            ),
        ),
    ),
)

WORKBOOKS = (ROTA, CATALOGUE)
DECKS = (REVIEW,)
