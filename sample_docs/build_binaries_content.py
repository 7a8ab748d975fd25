"""Contents of the PDF and DOCX sample documents."""

from __future__ import annotations

from build_binaries_model import Code, Document, Grid, Head, Items, Para, table

RECOVERY_PLAN = Document(
    path="policies/disaster-recovery-plan.pdf",
    title="Disaster recovery plan",
    subtitle="Version 2.2, 20 February 2026. Owner: Platform lead. Next test: September 2026.",
    blocks=(
        Head("1. Purpose and scope"),
        Para(
            "This plan describes how Tarnwell continues when the region north is lost: the data "
            "centre Northgrid burns, floods, is cut off, or is taken over by somebody who should "
            "not be there. It does not cover the failure of a single node or a single service. "
            "For those there are runbooks, and they are faster."
        ),
        Para(
            "The region south holds a warm copy of everything that is needed. It runs one replica "
            "of each service, without traffic. Postgres is streamed, Kafka is mirrored, and the "
            "object store crate is copied in both directions."
        ),
        Head("2. Objectives"),
        Para(
            "RTO is the time until the service works again, counted from the decision to fail "
            "over. RPO is the amount of data, in time, which may be lost. Both were agreed with "
            "Finance Operations and the Head of Support on 12 February 2026."
        ),
        Grid(
            table(
                "Service | Tier | RTO | RPO | Remark",
                "gatehouse | 1 | 30 minutes | none | no state; rate limits start at zero",
                "addrbook | 1 | 45 minutes | 24 hours | daily import can be repeated",
                "labelpress | 1 | 45 minutes | 15 minutes | labels can be printed again",
                "tracker | 1 | 60 minutes | 5 minutes | missing scans come from handsets",
                "courier-bff | 1 | 60 minutes | none | handsets keep their scans",
                "sortline | 1 | 90 minutes | 24 hours | plans are computed again",
                "notify | 2 | 2 hours | 30 minutes | late texts are dropped, not sent",
                "ledgerd | 2 | 4 hours | 90 seconds | needs the consent of Money, see 5",
                "dockside | 2 | 6 hours | none | static notice page until then",
            ),
            (0.15, 0.07, 0.16, 0.16, 0.46),
        ),
        Para(
            "Tier 1 is started first. Nobody works on tier 2 while a tier 1 service is still down, "
            "with the exception of the ledger check in section 5, which Money does on its own."
        ),
        Head("3. Who decides"),
        Para(
            "The Head of Engineering declares the disaster. If the Head of Engineering cannot be "
            "reached for 15 minutes, the incident commander on duty does it. No further approval "
            "is needed. The reason is written into the incident channel in one sentence."
        ),
        Items(
            (
                "North is unreachable from three independent places for 20 minutes, or",
                "Northgrid tells us that power or cooling will be gone for more than 4 hours, or",
                "two of the three pg-main nodes are lost and cannot be restored within 2 hours.",
            )
        ),
        Para(
            "One of these is sufficient. A slow region is not a lost region. Failing over takes "
            "hours to undo, so a brown-out of 30 minutes is cheaper to sit through."
        ),
        Head("4. Failover, step by step"),
        Head("4.1 Fence the north", 2),
        Para(
            "Before anything is started in the south, the north must be unable to write. "
            "Otherwise both sides bill the same parcels. If the north cannot be reached, ask "
            "Northgrid to cut the uplinks of cage N2-14; give the phrase of the month."
        ),
        Code("tw dr fence --region north --confirm\ntw dr fence status        # must say: fenced"),
        Head("4.2 Promote the data stores", 2),
        Items(
            (
                "Postgres: promote the standby leader pg-south-1. Write down the last replayed "
                "position before you do it.",
                "Kafka: stop the mirror, then raise the offsets of all consumer groups.",
                "Redis: start empty. Everybody has to sign in again.",
            ),
            numbered=True,
        ),
        Code(
            "tw dr lsn --cluster pg-south > /root/dr-lsn.txt\n"
            "patronictl -c /etc/patroni/pg-south.yml edit-config --force -s standby_cluster=null\n"
            "tw dr kafka promote --region south"
        ),
        Head("4.3 Start the services", 2),
        Para(
            "Scale each service to the number in the service catalogue, in the order of the table "
            "in section 2. Wait for the health check of one before starting the next."
        ),
        Code("tw dr scale --cluster harbour-south --tier 1     # later the same with --tier 2"),
        Head("4.4 Move the traffic", 2),
        Para(
            "Change the DNS records of api, portal and track. They have a lifetime of 60 seconds, "
            "but allow 15 minutes; some shippers cache for longer. The scanners in the depots use "
            "addresses instead of names. Depot Systems pushes profile S to them, which takes about "
            "25 minutes for 61 depots."
        ),
        Code("tw dr dns switch --to south --records api,portal,track"),
        Head("5. Ledger check"),
        Para(
            "ledgerd may lose at most 90 seconds of entries. Before it takes traffic, Money "
            "compares the last replayed position with the list of payments at Paybarrow. If the "
            "gap is larger, the Money lead decides whether we start with a gap or wait. Payouts "
            "stay paused for 24 hours in any case."
        ),
        Head("6. Communication"),
        Para(
            "Support tells shippers what the document on major incidents says. In addition the "
            "Compliance Officer informs the authority if personal data may be in the wrong hands. "
            "The carriers are called one by one from the list in the sealed envelope; their depots "
            "work on paper until sortline is back."
        ),
        Head("7. Going back"),
        Para(
            "Not before the north has been stable for 72 hours, and never in the night to "
            "Tuesday, when the weekly invoices are made. The way back is a planned maintenance "
            "with an announcement 5 working days ahead. Data flow is reversed, checked for one "
            "day, then traffic is moved at 10 percent, 50 percent and 100 percent."
        ),
        Head("8. Test record"),
        Grid(
            table(
                "Date | Kind | Time until tier 1 worked | What we learned",
                "2025-03-22 | desk exercise | - | nobody knew the phrase of the month",
                "2025-09-20 | real, at night | 2 h 35 min | scanner profile S was outdated",
                "2026-01-24 | real, at night | 1 h 20 min | DNS token had expired in south",
            ),
            (0.15, 0.19, 0.24, 0.42),
        ),
        Para(
            "Target for September 2026 is 75 minutes, by day, with the three largest shippers "
            "informed beforehand. Results go to the operations review."
        ),
    ),
)

SCANNER_CARD = Document(
    path="howto/depot-scanner-quick-card.pdf",
    title="Depot scanner K2: quick card",
    subtitle="Depot Systems, January 2026. Print on yellow paper, laminate, hang at the charger.",
    blocks=(
        Head("Start of shift"),
        Items(
            (
                "Take a scanner with a green light. Below 40 % battery leave it in the cradle.",
                "Scan your badge, then the code on the depot door. The screen shows the depot.",
                "Scan the test label. You must hear two short beeps.",
            ),
            numbered=True,
        ),
        Head("What the sounds mean"),
        Grid(
            table(
                "Sound | Light | Meaning | What to do",
                "two short | green | accepted | next parcel",
                "one long | red | unknown parcel | put it on the blue shelf",
                "three short | amber | scanned before | check for a copied label",
                "siren | red, flashing | fenced parcel | do not move it, call ext. 4140",
            ),
            (0.2, 0.2, 0.25, 0.35),
        ),
        Head("Scanner hangs"),
        Para(
            "Hold both side keys for 12 seconds. Scans are kept. If it hangs a second time in "
            "the same shift, put it into the red box and take another one. Do not take the "
            "battery out: the last 50 scans may be lost."
        ),
        Head("No network"),
        Para(
            "Carry on. The scanner keeps 2,000 scans. Put it into a cradle before the end of the "
            "shift; the cradle has its own cable connection. Empty scanners show a tick."
        ),
    ),
)

INCIDENT_MAILS = Document(
    path="support/major-incident-communication.docx",
    title="Talking to shippers in a major incident",
    subtitle="Owner: Head of Support. Updated 5 February 2026.",
    blocks=(
        Para(
            "This describes what we tell shippers, when, and who has to agree. How an incident is "
            "declared is in the severity policy; this page starts when it has been declared."
        ),
        Head("Deadlines"),
        Para("All times count from the moment of declaration, not from the first complaint."),
        Grid(
            table(
                "What | SEV1 | SEV2 | Who does it | Who agrees",
                "Status page entry | 15 minutes | 30 minutes | Support lead | nobody",
                "Phone call to Frigate shippers | 25 minutes | - | account manager | nobody",
                "Mail to affected shippers | 45 minutes | 2 hours | Support lead | Head of Support",
                "Update on the status page | every 30 minutes | every hour | Support lead | nobody",
                "Final report | 5 working days | 10 working days | owning team | Head of Support",
            ),
        ),
        Para(
            "If the account manager cannot be reached within five minutes, the Support lead calls "
            "the Frigate shippers. The list with direct numbers is in Deskline under Key contacts."
        ),
        Head("What belongs into the first mail"),
        Items(
            (
                "What does not work, in the words of the portal, not in ours.",
                "What still works. Be generous here, it is what they need most.",
                "Since when, with the time zone.",
                "When they hear from us again. Give a time, even if there will be no news.",
            ),
            numbered=True,
        ),
        Head("What does not"),
        Items(
            (
                "A cause, before the incident commander has confirmed it.",
                "An estimate of the repair time.",
                "The name of a supplier.",
                "The words minor, glitch, and some users.",
            )
        ),
        Head("Example"),
        Para(
            "Since 11:04 UTC today, making labels by API fails for about four in ten requests. "
            "Tracking, pick-ups and invoices work. Labels that were made before 11:00 are valid. "
            "Please do not repeat failed requests more often than once a minute. We write again "
            "at 12:00 UTC."
        ),
        Head("Compensation"),
        Para(
            "Do not offer credits during the incident. Contracts of the tier Frigate have a clause "
            "on availability; Money computes it after the end of the month without being asked. "
            "For the other tiers the Head of Support may grant a goodwill credit of up to 10 % of "
            "the weekly invoice."
        ),
    ),
)

DEPOT_CHECKLIST = Document(
    path="howto/depot-go-live-checklist.docx",
    title="Depot go-live checklist",
    subtitle="Depot Systems, version of 12 November 2025.",
    blocks=(
        Para(
            "For every new depot, and for every depot that moves to another building. Copy the "
            "list into a Deskline ticket and tick the points there. Allow six weeks."
        ),
        Head("Six weeks before"),
        Items(
            (
                "Carrier sends the chute plan. Without a chute plan there is no date.",
                "Platform assigns the depot number and the network 10.62.<number>.0/24.",
                "Order two lines from different providers. At least 100 Mbit/s each.",
            ),
            numbered=True,
        ),
        Head("Two weeks before"),
        Items(
            (
                "Enter the chute map: tw sort chutes --depot D62 --import chutes.csv",
                "Sync the label templates: tw label templates sync --depot D62",
                "Put scanners into the depot's group and install the certificate scanner-mtls.",
                "Dry run with 500 empty boxes. At least 98 % must fall into the right chute.",
            ),
            numbered=True,
        ),
        Head("Devices and addresses"),
        Grid(
            table(
                "Device | Addresses (last octet) | Port | Remark",
                "Jump host | 5 | 22 | only from the VPN",
                "Belt controller | 10 to 19 | 4840 | read only for us",
                "Belt panel | 20 to 24 | 443 | reloads every 90 seconds",
                "Label printers | 31 to 60 | 9100 | darkness 18 or 24",
                "Scanner cradles | 100 to 180 | 8443 | own cable connection",
            ),
        ),
        Head("The night itself"),
        Para(
            "Two of us are on site from 23:00 to 07:00, one more at home. The first night runs at "
            "half volume. Stop rule: fewer than 90 % right chutes at 03:15 local time means manual "
            "sort, and another attempt at the earliest one week later."
        ),
        Head("Two weeks after"),
        Items(
            (
                "Overflow below 3 % on average? Otherwise look at the chute map again.",
                "Hand over to on-call. Before that day pages for the depot go to the project.",
                "Delete the temporary accounts of the electricians.",
            )
        ),
    ),
)

DOCUMENTS_PDF = (RECOVERY_PLAN, SCANNER_CARD)
DOCUMENTS_DOCX = (INCIDENT_MAILS, DEPOT_CHECKLIST)
